/**
 * What a stream is when the client does not say, and the options of running the relay: shutdown and logs.
 */
import { LANGUAGE_CODE_PATTERN } from '../transcribe/languages.ts'
import type { OptionDefinition } from './definition.ts'

export const STREAM_OPTIONS = {
  languageCode: {
    theme: 'stream',
    kind: 'string',
    default: 'en-US',
    pattern: LANGUAGE_CODE_PATTERN,
    shape: 'a language code such as en-US',
    doc: '`language-code` of a client that names none. Left out when `parameters` turns language identification on.',
  },
  sampleRate: {
    theme: 'stream',
    kind: 'integer',
    unit: 'hertz',
    default: 16_000,
    min: 8000,
    max: 48_000,
    doc: '`sample-rate` of a client that names none.',
  },
  mediaEncoding: {
    theme: 'stream',
    kind: 'enum',
    default: 'pcm',
    values: ['pcm', 'ogg-opus', 'flac'],
    doc: '`media-encoding` of a client that names none. `pcm` is signed, 16 bits, little-endian.',
  },
  parameters: {
    theme: 'stream',
    kind: 'parameters',
    default: {},
    maxItems: 32,
    refused: {
      'language-code': 'it is the option languageCode',
      'sample-rate': 'it is the option sampleRate',
      'media-encoding': 'it is the option mediaEncoding',
      'session-id': 'the relay chooses one for each session',
      format: 'it is the option format',
      words: 'it is the option words',
      partials: 'it is the option partials',
    },
    doc: 'Further parameters of Amazon Transcribe for clients that do not give them, by the names of its WebSocket API.',
  },
  languages: {
    theme: 'stream',
    kind: 'list',
    default: [],
    maxItems: 100,
    pattern: LANGUAGE_CODE_PATTERN,
    shape: 'a language code such as en-US',
    doc: 'Language codes to accept besides the known ones, for languages that Amazon Transcribe adds later.',
  },
  format: {
    theme: 'stream',
    kind: 'enum',
    default: 'simple',
    values: ['simple', 'aws'],
    doc: '`format` of a client that names none: flat results of the relay, or the JSON of Amazon Transcribe.',
  },
  words: {
    theme: 'stream',
    kind: 'boolean',
    default: false,
    doc: 'Whether `simple` results carry word times, for a client that does not say.',
  },
  partials: {
    theme: 'stream',
    kind: 'boolean',
    default: true,
    doc: 'Whether partial results are sent, to a client that does not say.',
  },
  allowUnredactedPartials: {
    theme: 'stream',
    kind: 'boolean',
    default: false,
    doc: 'Send partial results although redaction is on. Amazon Transcribe redacts final results only, so these would show what redaction hides.',
  },
  drainTimeoutMs: {
    theme: 'operations',
    kind: 'integer',
    unit: 'milliseconds',
    default: 30_000,
    min: 0,
    max: 14_400_000,
    doc: 'Time for running sessions to finish after a request to stop. Past it they end with `drain_deadline`, their last results delivered.',
  },
  logLevel: {
    theme: 'operations',
    kind: 'enum',
    default: 'info',
    values: ['fatal', 'error', 'warn', 'info', 'debug', 'trace'],
    doc: 'Least important level that is logged.',
  },
  logAddresses: {
    theme: 'operations',
    kind: 'enum',
    default: 'full',
    values: ['full', 'prefix', 'none'],
    doc: 'How much of the address of a client is in log lines and in the audit. `prefix`: the network it is in, /24 of IPv4 and /48 of IPv6.',
  },
  auditLog: {
    theme: 'operations',
    kind: 'string',
    default: 'off',
    pattern: /^(?:off|stdout|\.{0,2}\/[\x20-\x7e]{1,250})$/,
    shape: 'off, stdout, or a path with a slash in it',
    doc: 'Where the audit goes: who streamed when, from where, how long, with which parameters and how it ended, and who was refused; never what was said. `stdout`: among the log lines, whatever `logLevel` says. A path: appended to that file, which may be rotated by renaming it.',
  },
} as const satisfies Record<string, OptionDefinition>
