/**
 * The options of the client port: meaning, unit, default and bounds, checked before anything native sees them, because the
 * native library ends the process on a value it does not like.
 */
import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { StreamDefaults, StreamQuery } from '../protocol/stream-request.ts'
import type { ClientGuard } from './auth/principal.ts'
import type { Handshake } from './handshake.ts'
import type { ServerMetrics } from './metrics.ts'
import { ClientAddresses } from './proxies.ts'
import type { ProxyOptions } from './proxies.ts'
import type { TlsLog, TlsOptions } from './tls-files.ts'

/**
 * How a refused handshake is told. `http`: status and JSON body. `websocket`: the handshake is completed, then `Error` and
 * a Close frame. `auto`: `websocket` for requests with `Origin`, as a browser shows neither status nor body to the page.
 */
export type HandshakeErrors = 'auto' | 'http' | 'websocket'

/**
 * Decides whether a client may come in. Throws a RelayError to refuse; anything else thrown is `internal`. An error whose
 * catalogue entry has no close code is always told by HTTP, to a browser too.
 */
export type Authorize = (handshake: Handshake, query: StreamQuery) => Promise<void> | void

/** A handshake that was refused for who asked, not for how: for the log. */
export interface AccessRefusal {
  readonly sessionId: string
  readonly code: ErrorCode
  readonly detail: string | null
  readonly principal: string | null
  readonly clientAddress: string
}

export interface ClientServerOptions {
  /** Address to bind. Default `127.0.0.1`. */
  readonly host?: string
  /** Default 8080; 0 takes any free port. */
  readonly port?: number
  /**
   * Let other processes of this user listen on the same port, each accepting a part of the connections; they all have to
   * say so. Not with port 0. Default false: a port in use is an error.
   */
  readonly sharePort?: boolean
  /** Default: no TLS. */
  readonly tls?: TlsOptions | null
  readonly tlsLog?: TlsLog
  /** Who may say for whom a connection is. Default: nobody. */
  readonly proxies?: ProxyOptions
  /** Largest message of a client. Default 64 KiB; the native limit, which has no Close frame, is four times as high. */
  readonly maxMessageBytes?: number
  /** Where the native socket starts to drop what is sent to a slow client. Above the session's soft limit. Default 256 KiB. */
  readonly clientHardBufferBytes?: number
  /** Silence on a connection, pongs included, after which it is dead; pings go out before. Multiple of 4. Default 32. */
  readonly idleTimeoutSeconds?: number
  /** Time for `authorize`. Default 5000. */
  readonly handshakeTimeoutMs?: number
  /** Time for a slow client to read what was left for it before the Close frame. Default 10000. */
  readonly closeTimeoutMs?: number
  /** Pings and pongs of one client. Default 10. */
  readonly pingsPerSecond?: number
  /** TCP connections, sessions included; more are closed at once. Default: no cap. */
  readonly maxConnections?: number | null
  /** Default `auto`. */
  readonly handshakeErrors?: HandshakeErrors
  /** Who may come in, and with what. Default: everybody, with everything. */
  readonly guard?: ClientGuard | null
  /** Asked after the guard. Default: everybody may. */
  readonly authorize?: Authorize | null
  readonly streamDefaults: StreamDefaults
  readonly clock?: Clock
  readonly metrics: ServerMetrics
  readonly onAccessRefused?: (refusal: AccessRefusal) => void
  /** A bug outside of any session. */
  readonly onFailure: (error: unknown) => void
}

/** The options, complete and checked. */
export type ClientServerSettings = Required<ClientServerOptions> & { readonly addresses: ClientAddresses }

interface Bounds {
  readonly min: number
  readonly max: number
  readonly multipleOf: number
}

const BOUNDS = {
  port: bounds(0, 65_535),
  maxMessageBytes: bounds(1024, 1024 * 1024),
  clientHardBufferBytes: bounds(64 * 1024, 16 * 1024 * 1024),
  // The native library ends the process outside of 8–960, and counts in steps of 4.
  idleTimeoutSeconds: { min: 8, max: 960, multipleOf: 4 },
  handshakeTimeoutMs: bounds(100, 60_000),
  closeTimeoutMs: bounds(100, 60_000),
  pingsPerSecond: bounds(1, 1000),
  maxConnections: bounds(1, 1_000_000),
} satisfies Partial<Record<keyof ClientServerOptions, Bounds>>

const NO_TLS_LOG: TlsLog = { certificateOnUse: () => {}, certificateOnFailure: () => {} }
const NO_PROXIES: ProxyOptions = { trustedProxies: [], proxyProtocol: false }

const HANDSHAKE_ERRORS: readonly HandshakeErrors[] = ['auto', 'http', 'websocket']

/** @throws RangeError naming the option, its value and the rule. */
export function resolveClientServerOptions(options: ClientServerOptions): ClientServerSettings {
  const settings: ClientServerSettings = {
    host: '127.0.0.1',
    port: 8080,
    sharePort: false,
    tls: null,
    tlsLog: NO_TLS_LOG,
    proxies: NO_PROXIES,
    addresses: new ClientAddresses(options.proxies ?? NO_PROXIES),
    maxMessageBytes: 64 * 1024,
    clientHardBufferBytes: 256 * 1024,
    idleTimeoutSeconds: 32,
    handshakeTimeoutMs: 5000,
    closeTimeoutMs: 10_000,
    pingsPerSecond: 10,
    maxConnections: null,
    handshakeErrors: 'auto',
    guard: null,
    authorize: null,
    onAccessRefused: () => {},
    clock: systemClock,
    ...options,
  }
  for (const [name, rule] of Object.entries(BOUNDS) as [keyof typeof BOUNDS, Bounds][]) {
    const value = settings[name]
    if (value !== null) checkNumber(name, value, rule)
  }
  if (settings.host === '') throw new RangeError('host must not be empty, got ""')
  if (!HANDSHAKE_ERRORS.includes(settings.handshakeErrors)) {
    throw new RangeError(
      `handshakeErrors must be one of ${HANDSHAKE_ERRORS.join(', ')}, got "${settings.handshakeErrors}"`,
    )
  }
  return Object.freeze(settings)
}

function bounds(min: number, max: number): Bounds {
  return { min, max, multipleOf: 1 }
}

function checkNumber(name: string, value: number, { min, max, multipleOf }: Bounds): void {
  if (Number.isInteger(value) && value >= min && value <= max && value % multipleOf === 0) return
  const step = multipleOf === 1 ? 'a whole number' : `a multiple of ${multipleOf}`
  throw new RangeError(`${name} must be ${step} from ${min} to ${max}, got ${value}`)
}
