/**
 * A help page: the same parts in the same order for every command, wrapped to the width of the terminal.
 */
import type { OptionRow } from './arguments.ts'
import type { ExitCodeRow } from './exit-codes.ts'

export interface OptionSection {
  readonly title: string
  readonly rows: readonly OptionRow[]
}

export interface HelpPage {
  readonly command: string
  /** One line, for the overview. */
  readonly summary: string
  readonly usage: readonly string[]
  /** What it does and when to use it, a string a paragraph. */
  readonly purpose: readonly string[]
  readonly sections: readonly OptionSection[]
  readonly examples: readonly { readonly line: string; readonly doc: string }[]
  readonly exitCodes: readonly ExitCodeRow[]
  readonly seeAlso: readonly string[]
}

/** Column at which the explanation of an option begins. */
const DOC_COLUMN = 30
const MIN_COLUMNS = 60
const MAX_COLUMNS = 110

export function renderHelp(page: HelpPage, columns: number): string {
  const width = Math.min(MAX_COLUMNS, Math.max(MIN_COLUMNS, columns))
  const lines = [`transcribe-relay ${page.command} - ${page.summary}`, '', 'USAGE']
  lines.push(...page.usage.map(line => `  transcribe-relay ${line}`), '')
  for (const paragraph of page.purpose) lines.push(...wrap(paragraph, width, 0), '')
  for (const section of page.sections) {
    lines.push(section.title)
    for (const row of section.rows) lines.push(...renderRow(optionHead(row), optionDoc(row), width))
    lines.push('')
  }
  if (page.examples.length > 0) lines.push('EXAMPLES')
  for (const example of page.examples) lines.push(...wrap(example.doc, width, 2), `    ${example.line}`, '')
  lines.push('EXIT CODES')
  for (const row of page.exitCodes) lines.push(...renderRow(String(row.code), row.doc, width, 6))
  lines.push('', 'SEE ALSO', ...wrap(page.seeAlso.join(', '), width, 2))
  return lines.join('\n')
}

/** Two columns: `head`, then `doc` wrapped beside it, below it where the head is too long. */
export function renderRow(head: string, doc: string, width: number, docColumn = DOC_COLUMN): string[] {
  const body = wrap(doc, width, docColumn)
  const first = `  ${head}`
  if (first.length + 2 > docColumn) return [first, ...body]
  return [first.padEnd(docColumn) + (body[0] ?? '').trimStart(), ...body.slice(1)]
}

/** Breaks at spaces; a word longer than the line stands alone on one. */
export function wrap(text: string, width: number, indent: number): string[] {
  const margin = ' '.repeat(indent)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(margin + line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  lines.push(margin + line)
  return lines
}

function optionHead(row: OptionRow): string {
  const short = row.short === undefined ? '' : `-${row.short}, `
  return `${short}--${row.flag}${row.value === undefined ? '' : ` ${row.value}`}`
}

function optionDoc(row: OptionRow): string {
  const facts: string[] = []
  if (row.default !== undefined) facts.push(`default ${row.default}`)
  if (row.bounds !== undefined) facts.push(row.bounds)
  if (row.env !== undefined) facts.push(`env ${row.env}`)
  return facts.length === 0 ? row.doc : `${row.doc} (${facts.join('; ')})`
}
