/**
 * What validation says about a parameter. Texts of a client come back to it (and into a log) only through `showText`:
 * cut, and without control characters.
 */

/** A reason to refuse. `parameter`, `rule` and `value` read as one sentence: `sample-rate must be …, got "4000".` */
export interface ParameterProblem {
  /** Wire name. */
  readonly parameter: string
  /** What was given, fit to be shown; `null` when nothing was. */
  readonly value: string | null
  /** Says what must hold, without the name in front and the full stop behind. */
  readonly rule: string
}

/** Accepted, but probably not what was meant. */
export interface ParameterWarning {
  readonly parameter: string
  readonly value: string | null
  /** A whole sentence. */
  readonly message: string
}

/** Collects what validation finds. Takes texts as they came and keeps them fit to be shown. */
export class Findings {
  readonly problems: ParameterProblem[] = []
  readonly warnings: ParameterWarning[] = []

  refuse(parameter: string, value: string | null, rule: string): void {
    this.problems.push({ parameter: showText(parameter), value: showValue(value), rule })
  }

  warn(parameter: string, value: string | null, message: string): void {
    this.warnings.push({ parameter: showText(parameter), value: showValue(value), message })
  }
}

const MAX_SHOWN_CHARACTERS = 64

/** At most 64 characters of printable ASCII; everything else as `\u{…}`, a cut marked by `…`. */
export function showText(text: string): string {
  const head = text.slice(0, MAX_SHOWN_CHARACTERS)
  const shown = head.replace(/[^\x20-\x7e]/gu, escapeCharacter)
  return shown.length <= MAX_SHOWN_CHARACTERS && text.length <= MAX_SHOWN_CHARACTERS
    ? shown
    : `${shown.slice(0, MAX_SHOWN_CHARACTERS - 1)}…`
}

function showValue(value: string | null): string | null {
  return value === null ? null : showText(value)
}

function escapeCharacter(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}
