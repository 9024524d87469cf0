/**
 * The options of the emulator. Numbers, names and choices are one table, from which the checks, the command line and
 * docs/emulator.md are made; what is no plain value (certificates, accounts, engines, faults) is in the interface.
 */
import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import { EXAMPLE_ACCOUNT, type Account } from './accounts.ts'
import type { EngineFactory } from './engine.ts'
import type { FaultScriptInput } from './faults.ts'

interface NumberDefinition {
  readonly kind: 'number'
  readonly unit: string
  readonly default: number
  readonly min: number
  readonly max: number
  readonly doc: string
}

interface TextDefinition {
  readonly kind: 'text'
  readonly unit: string
  readonly default: string
  readonly pattern: RegExp
  readonly doc: string
}

interface ChoiceDefinition {
  readonly kind: 'choice'
  readonly unit: string
  readonly default: string
  readonly values: readonly string[]
  readonly doc: string
}

export type EmulatorOptionDefinition = NumberDefinition | TextDefinition | ChoiceDefinition

/** Every plain option, by name. */
export const EMULATOR_OPTIONS = {
  host: {
    kind: 'text',
    unit: 'a host name or address',
    default: '127.0.0.1',
    pattern: /^[0-9a-zA-Z.:-]{1,255}$/,
    doc: 'Address to listen on.',
  },
  port: {
    kind: 'number',
    unit: 'port',
    default: 0,
    min: 0,
    max: 65_535,
    doc: 'Port to listen on; 0 takes a free one.',
  },
  region: {
    kind: 'text',
    unit: 'an AWS region',
    default: 'us-east-1',
    pattern: /^[a-z]{2}(-[a-z]+)+-\d{1,2}$/,
    doc: 'Region that the credential scope of a signature must name.',
  },
  concurrentStreams: {
    kind: 'number',
    unit: 'streams',
    default: 25,
    min: 1,
    max: 100_000,
    doc: 'Streams one account may have open at once; one more ends with LimitExceededException.',
  },
  startsPerSecond: {
    kind: 'number',
    unit: 'streams per second',
    default: 25,
    min: 1,
    max: 100_000,
    doc: 'Streams one account may start in any second; one more ends with LimitExceededException.',
  },
  idleTimeoutMs: {
    kind: 'number',
    unit: 'ms',
    default: 15_000,
    min: 10,
    max: 3_600_000,
    doc: 'Time without audio after which a stream ends with BadRequestException.',
  },
  maxStreamMs: {
    kind: 'number',
    unit: 'ms',
    default: 14_400_000,
    min: 10,
    max: 86_400_000,
    doc: 'Age at which a stream ends with LimitExceededException.',
  },
  maxChunkMs: {
    kind: 'number',
    unit: 'ms of audio',
    default: 1000,
    min: 10,
    max: 60_000,
    doc: 'Most audio in one AudioEvent; more ends the stream with BadRequestException.',
  },
  latencyMs: {
    kind: 'number',
    unit: 'ms',
    default: 0,
    min: 0,
    max: 60_000,
    doc: 'Time that every result is held back, as the way to the real service would.',
  },
  stallHoldMs: {
    kind: 'number',
    unit: 'ms',
    default: 60_000,
    min: 10,
    max: 3_600_000,
    doc: 'Time that the faults `stallHandshake` and `stopReading` keep a connection that nobody else ends; then it is reset.',
  },
  keepAudioBytes: {
    kind: 'number',
    unit: 'bytes per stream',
    default: 0,
    min: 0,
    max: 268_435_456,
    doc: 'Audio of each stream to keep for inspection; 0 keeps only its length and its SHA-256.',
  },
  keepStreams: {
    kind: 'number',
    unit: 'streams',
    default: 1000,
    min: 1,
    max: 1_000_000,
    doc: 'Records of finished streams to keep; the oldest go first.',
  },
  badParameters: {
    kind: 'choice',
    unit: 'answer',
    default: 'exception',
    values: ['exception', 'http400'],
    doc: 'How wrong parameters are answered: 101 and then BadRequestException, or HTTP 400 instead of 101.',
  },
} as const satisfies Record<string, EmulatorOptionDefinition>

export type PlainOptionName = keyof typeof EMULATOR_OPTIONS

/** What happens, for a log. Fields hold ids, numbers and names; never a key, a token, a query or speech. */
export interface EmulatorLog {
  write(event: string, fields: Readonly<Record<string, string | number | boolean | null>>): void
}

export interface PlainOptions {
  readonly host: string
  readonly port: number
  readonly region: string
  readonly concurrentStreams: number
  readonly startsPerSecond: number
  readonly idleTimeoutMs: number
  readonly maxStreamMs: number
  readonly maxChunkMs: number
  readonly latencyMs: number
  readonly stallHoldMs: number
  readonly keepAudioBytes: number
  readonly keepStreams: number
  readonly badParameters: 'exception' | 'http400'
}

export interface EmulatorOptions extends Partial<PlainOptions> {
  /** PEM. With it the emulator speaks `wss` (and `https`), without it `ws` (and HTTP/2 with prior knowledge). */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer }
  /** Listens for HTTP/2 too, on a port of its own as the service does; 0 takes a free one. Default: it does not. */
  readonly http2?: { readonly port: number }
  /** Who may come in. Default: the example key of AWS's documentation, without a session token. */
  readonly accounts?: readonly Account[]
  /** What hears the audio. Default: the scripted engine without any script, which reports what it heard. */
  readonly engine?: EngineFactory
  /** Faults from the start on; `Emulator.setFaults` changes them. */
  readonly faults?: FaultScriptInput
  /** Default: the time of the machine. */
  readonly clock?: Clock
  /** Default: nothing is logged. */
  readonly log?: EmulatorLog
}

export interface ResolvedOptions extends PlainOptions {
  readonly tls: { readonly key: string | Buffer; readonly cert: string | Buffer } | null
  readonly http2: { readonly port: number } | null
  readonly accounts: readonly Account[]
  readonly engine: EngineFactory
  readonly faults: FaultScriptInput
  readonly clock: Clock
  readonly log: EmulatorLog
}

const SILENT_LOG: EmulatorLog = { write: () => undefined }

/** Fills the defaults and checks every value. Throws `RangeError` with the option, the value and the rule. */
export function resolveOptions(options: EmulatorOptions, defaultEngine: EngineFactory): ResolvedOptions {
  const plain: Record<string, unknown> = {}
  for (const [name, definition] of Object.entries<EmulatorOptionDefinition>(EMULATOR_OPTIONS)) {
    plain[name] = checkOption(name, options[name as PlainOptionName] ?? definition.default, definition)
  }
  const accounts = options.accounts ?? [EXAMPLE_ACCOUNT]
  if (accounts.length === 0) throw new RangeError('Emulator option accounts must name at least one account.')
  return Object.freeze({
    ...(plain as unknown as PlainOptions),
    tls: options.tls ?? null,
    http2: checkHttp2(options.http2),
    accounts,
    engine: options.engine ?? defaultEngine,
    faults: options.faults ?? {},
    clock: options.clock ?? systemClock,
    log: options.log ?? SILENT_LOG,
  })
}

function checkHttp2(http2: EmulatorOptions['http2']): ResolvedOptions['http2'] {
  if (http2 === undefined) return null
  checkOption('http2.port', http2.port, EMULATOR_OPTIONS.port)
  return http2
}

function checkOption(name: string, value: unknown, definition: EmulatorOptionDefinition): unknown {
  const rule = brokenRule(value, definition)
  if (rule === null) return value
  throw new RangeError(`Emulator option ${name} must be ${rule}, got ${JSON.stringify(value)}.`)
}

function brokenRule(value: unknown, definition: EmulatorOptionDefinition): string | null {
  switch (definition.kind) {
    case 'number': {
      const { min, max, unit } = definition
      const isIn = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      return isIn ? null : `a whole number from ${min} to ${max} (${unit})`
    }
    case 'text':
      return typeof value === 'string' && definition.pattern.test(value) ? null : definition.unit
    default:
      return typeof value === 'string' && definition.values.includes(value)
        ? null
        : `one of ${definition.values.join(', ')}`
  }
}
