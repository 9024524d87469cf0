/**
 * Everything that reads what strangers send, as functions of bytes. A target throws when something is wrong: an error of
 * another kind than it may give, a wrong answer, a secret in a message.
 */
import { EventStreamCodec } from '@smithy/eventstream-codec'
import { RelayError } from '../../src/errors.ts'
import { crc32 } from '../../src/eventstream/crc32.ts'
import type { DecodedMessage } from '../../src/eventstream/decode.ts'
import { decodeMessage, decodeMessages } from '../../src/eventstream/decode.ts'
import { EventStreamError } from '../../src/eventstream/errors.ts'
import { readClientMessage } from '../../src/protocol/client-messages.ts'
import { describeProblems, readStreamQuery, type StreamDefaults } from '../../src/protocol/stream-request.ts'
import { KeyRing, parseKeysFile } from '../../src/server/auth/api-keys.ts'
import { ClientTokens } from '../../src/server/auth/client-tokens.ts'
import { parseKeySet } from '../../src/server/auth/jwk-set.ts'
import { checkToken, readToken, withoutToken } from '../../src/server/auth/token-place.ts'
import { AuthFileError } from '../../src/server/auth/watched-file.ts'
import { ClientAddresses, parseAddress } from '../../src/server/proxies.ts'
import { systemClock } from '../../src/clock.ts'

export interface FuzzTarget {
  /** Throws when the target is broken. */
  readonly run: (input: Buffer) => void
  readonly maxBytes: number
  readonly words: readonly string[]
  /** Makes of a mutated input one that gets past the first check. */
  readonly repair?: (input: Buffer) => void
}

const oracle = new EventStreamCodec(
  bytes => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')),
  text => Buffer.from(text, 'utf8'),
)

/** What we refuse and the other codec takes: limits, names that occur twice, and lengths that do not add up. */
const STRICTER: ReadonlySet<string> = new Set(['bad_header', 'too_big', 'bad_headers_length'])

function fuzzDecoder(input: Buffer): void {
  const ours = attempt(() => decodeMessage(input))
  const theirs = attemptTheirs(input)
  attempt(() => decodeMessages(input, () => {}))
  if (ours.ok) {
    if (!theirs.ok) throw new Error('wrong decode: the other codec refuses it')
    compare(ours.value, theirs.value)
  } else if (theirs.ok && !STRICTER.has(ours.code)) {
    throw new Error(`wrong decode: refused with ${ours.code}, and the other codec takes it`)
  }
}

type Attempt<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly code: string }

function attempt<Value>(decode: () => Value): Attempt<Value> {
  try {
    return { ok: true, value: decode() }
  } catch (error) {
    if (error instanceof EventStreamError) return { ok: false, code: error.code }
    throw error
  }
}

/** Throws whatever it likes. */
function attemptTheirs(input: Buffer): Attempt<ReturnType<EventStreamCodec['decode']>> {
  try {
    return { ok: true, value: oracle.decode(input) }
  } catch {
    return { ok: false, code: 'theirs' }
  }
}

function compare(ours: DecodedMessage, theirs: ReturnType<EventStreamCodec['decode']>): void {
  if (!ours.payload.equals(theirs.body)) throw new Error('wrong decode: the payloads differ')
  const names = Object.keys(theirs.headers)
  if (ours.headers.size !== names.length) throw new Error('wrong decode: the numbers of headers differ')
  for (const [name, header] of ours.headers) {
    const other = theirs.headers[name]
    if (other === undefined) throw new Error('wrong decode: a header is missing')
    if (header.type === 'string' && header.value !== other.value) {
      throw new Error('wrong decode: the values of a header differ')
    }
  }
}

/** Both checksums, over whatever the lengths and bytes are now. */
function repairMessage(input: Buffer): void {
  if (input.length < 16) return
  input.writeUInt32BE(input.length, 0)
  if (input.readUInt32BE(4) > input.length - 16) input.writeUInt32BE((input.length - 16) % 64, 4)
  input.writeUInt32BE(crc32(input.subarray(0, 8)), 8)
  input.writeUInt32BE(crc32(input.subarray(0, input.length - 4)), input.length - 4)
}

const MAX_RULE_CHARS = 700

function fuzzControl(input: Buffer): void {
  const result = readClientMessage(input.toString())
  if (result.ok) return
  if (result.rule.length > MAX_RULE_CHARS) throw new Error(`a rule of ${result.rule.length} characters`)
  if (!/^[\x20-\x7e…]+$/.test(result.rule)) throw new Error('a rule with characters that do not print')
}

const DEFAULTS: StreamDefaults = {
  parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
  format: 'simple',
  words: false,
  partials: true,
  extraLanguageCodes: [],
}

function fuzzQuery(input: Buffer): void {
  const result = readStreamQuery(input.toString('latin1'), DEFAULTS)
  if (!result.ok) {
    const told = describeProblems(result.problems)
    if (!/^[\x20-\x7e…]+$/.test(told)) throw new Error('a problem with characters that do not print')
    return
  }
  if (result.query.kind === 'configure') return
  const { wire } = result.query.stream.parameters
  const again = readStreamQuery(String(new URLSearchParams(wire)), { ...DEFAULTS, parameters: {} })
  if (!again.ok) throw new Error(`what was accepted is refused: ${describeProblems(again.problems)}`)
}

const keys = new KeyRing(
  parseKeysFile(
    '{"keys":[{"name":"a","sha256":"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"}]}',
    'k',
  ),
)
const tokens = new ClientTokens(systemClock, 60)

/** The first line is a header, the second a query, the rest a file. */
function fuzzTokens(input: Buffer): void {
  const text = input.toString('latin1')
  const [header = '', query = '', ...rest] = text.split('\n')
  const headers = new Map([
    ['authorization', header],
    ['sec-websocket-protocol', rest[0] ?? ''],
  ])
  const handshake = { sessionId: '', method: 'get', path: '/', query, headers, remoteAddress: '' }
  const token = expectErrors(text, () => readToken(handshake, true))
  const checked = expectErrors(text, () => checkToken(header))
  for (const found of [token, checked]) {
    if (found === null) continue
    keys.find(found)
    tokens.isOurs(found)
  }
  const kept = withoutToken(query)
  if (new URLSearchParams(kept).has('token')) throw new Error('a token was left in the query')
  const file = rest.join('\n')
  expectErrors(text, () => parseKeysFile(file, 'keys.json'))
  expectErrors(text, () => parseKeySet(file, 'jwks.json', false))
}

/** Long enough to be no accident. */
const QUOTED_CHARS = 24

function expectErrors<Value>(input: string, action: () => Value): Value | null {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof RelayError || error instanceof AuthFileError)) throw error
    const told = error instanceof RelayError ? `${error.message} ${error.detail}` : ''
    for (let start = 0; start + QUOTED_CHARS <= told.length; start += 1) {
      if (
        input.includes(told.slice(start, start + QUOTED_CHARS)) &&
        !/[ .]/.test(told.slice(start, start + QUOTED_CHARS))
      ) {
        throw new Error('an error quotes its input', { cause: error })
      }
    }
    return null
  }
}

const addresses = new ClientAddresses({ trustedProxies: ['10.0.0.0/8', 'fd00::/8'], proxyProtocol: false })

function fuzzAddresses(input: Buffer): void {
  const text = input.toString('latin1')
  const address = addresses.addressOf({ peer: '10.0.0.1', proxied: '', forwardedFor: text })
  if (parseAddress(address) !== address) throw new Error(`no address: ${address}`)
}

export const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  decoder: {
    run: fuzzDecoder,
    repair: repairMessage,
    maxBytes: 1024,
    words: [
      ':message-type',
      ':event-type',
      ':exception-type',
      '\x07\0\x05event',
      '\x06\0\x01x',
      '\0',
      '\x01',
      '\x08',
      '\x09',
    ],
  },
  control: {
    run: fuzzControl,
    maxBytes: 2048,
    words: [
      '"type"',
      '"Configure"',
      '"CloseStream"',
      '"Authenticate"',
      '"token"',
      '"eof":1',
      '{',
      '}',
      '[',
      ']',
      ',',
      '__proto__',
      '\\u0000',
      '\\ud800',
      'null',
      '1e999',
      'END_OF_STREAM',
    ],
  },
  query: {
    run: fuzzQuery,
    maxBytes: 1024,
    words: [
      '&',
      '=',
      '%',
      '%00',
      'language-code',
      'language-options',
      'identify-language=true',
      'identify-multiple-languages=true',
      'en-US',
      'de-DE',
      'sample-rate',
      '8000',
      'media-encoding',
      'number-of-channels=2',
      'enable-channel-identification=true',
      'content-redaction-type=PII',
      'pii-entity-types',
      'vocabulary-name',
      'session-id',
      'configure=true',
      'words',
      'format=aws',
      ',',
    ],
  },
  tokens: {
    run: fuzzTokens,
    maxBytes: 2048,
    words: [
      'Bearer ',
      'bearer, ',
      'token=',
      'eyJ',
      '.',
      '\n',
      '{"keys":[',
      '"name":',
      '"sha256":',
      '"grants":{',
      '"kty":"oct"',
      '"k":',
      '"kid":',
      '"languages":[',
      '1e999',
      '-1',
      '__proto__',
    ],
  },
  addresses: {
    run: fuzzAddresses,
    maxBytes: 512,
    words: [',', '.', ':', '::', '::ffff:', '10.0.0.1', '[', ']', ':443', '%', 'fd00::1', '255', '256', '/8'],
  },
}
