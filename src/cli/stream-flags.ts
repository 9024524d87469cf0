/** The options that the commands share which stream to a relay: where it is, who asks, and how long they wait for it. */
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { describeBounds, readNumber } from './arguments.ts'
import type { Environment } from './command.ts'
import { UsageError } from './command.ts'
import { printable } from './terminal.ts'

const DEFAULT_URL = 'ws://127.0.0.1:8080/v1/stream'
const URL_ENV = 'TRANSCRIBE_URL'
const TOKEN_ENV = 'TRANSCRIBE_TOKEN'
const CONNECT_TIMEOUT_MS = { flag: 'connect-timeout-ms', default: 10_000, min: 100, max: 120_000 } as const
const END_TIMEOUT_MS = { flag: 'end-timeout-ms', default: 30_000, min: 100, max: 600_000 } as const

/** Times real time. */
export const SPEED = { flag: 'speed', default: 1, min: 0.1, max: 100 } as const

export const TOKEN_ROW: OptionRow = {
  flag: 'token',
  value: 'TOKEN',
  doc: 'Sent as Authorization: Bearer. Other users of the machine can read a command line; prefer the variable.',
  env: TOKEN_ENV,
}

export const TIMEOUT_ROWS: readonly OptionRow[] = [
  {
    flag: CONNECT_TIMEOUT_MS.flag,
    value: 'MS',
    doc: 'Longest wait for the relay to accept, milliseconds.',
    ...describeBounds(CONNECT_TIMEOUT_MS),
  },
  {
    flag: END_TIMEOUT_MS.flag,
    value: 'MS',
    doc: 'Longest wait for the last results, milliseconds.',
    ...describeBounds(END_TIMEOUT_MS),
  },
]

/** Each command says in its own words what the URL is for. */
export function urlRow(doc: string): OptionRow {
  return { flag: 'url', value: 'URL', doc, default: DEFAULT_URL, env: URL_ENV }
}

export interface RelayTarget {
  /** `ws:` or `wss:`, without a fragment. */
  readonly url: string
  readonly token: string | null
  readonly connectTimeoutMs: number
  /** Longest wait for `End` after the last audio. */
  readonly endTimeoutMs: number
}

/** Flags over environment. Throws `UsageError`. */
export function readRelayTarget(parsed: ParsedArguments, environment: Environment): RelayTarget {
  return {
    url: readSocketUrl(parsed.get('url') ?? environment[URL_ENV] ?? DEFAULT_URL),
    token: parsed.get('token') ?? environment[TOKEN_ENV] ?? null,
    connectTimeoutMs: readNumber(parsed.get('connect-timeout-ms'), CONNECT_TIMEOUT_MS),
    endTimeoutMs: readNumber(parsed.get('end-timeout-ms'), END_TIMEOUT_MS),
  }
}

function readSocketUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'ws:' && url.protocol !== 'wss:')) {
    throw new UsageError(`--url must be a ws:// or wss:// URL, got "${printable(text)}"`)
  }
  url.hash = ''
  return url.href
}
