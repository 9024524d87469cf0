/**
 * Options of the side that listens: the two ports, what a client may send, and how long it may take.
 *
 * The bounds of `idleTimeoutSeconds` are law: the native socket library aborts the process outside them.
 */
import type { OptionDefinition } from './definition.ts'

const HOST_PATTERN = /^[0-9A-Za-z._:-]{1,253}$/
const HOST_SHAPE = 'an IP address or a host name'

export const SERVER_OPTIONS = {
  host: {
    theme: 'server',
    kind: 'string',
    default: '127.0.0.1',
    pattern: HOST_PATTERN,
    shape: HOST_SHAPE,
    doc: 'Address to listen on for clients. `127.0.0.1` is this machine alone, `0.0.0.0` every IPv4 address of the machine, `::` IPv6 as well. Other than loopback needs `auth`, or `insecure`.',
  },
  port: {
    theme: 'server',
    kind: 'port',
    default: 8080,
    doc: 'Port for clients. 0 takes any free port.',
  },
  workers: {
    theme: 'server',
    kind: 'count',
    unit: 'processes',
    default: 1,
    min: 1,
    max: 256,
    doc: 'Processes of `serve` that share the client port. `auto`: one a core. Above 1 a primary process keeps the operations port, answers for all of them and restarts one that dies; the kernel gives each new connection to one of them, and `maxSessions` is divided among them. Linux.',
  },
  opsHost: {
    theme: 'server',
    kind: 'string',
    default: '0.0.0.0',
    pattern: HOST_PATTERN,
    shape: HOST_SHAPE,
    doc: 'Address to listen on for probes and `/metrics`.',
  },
  opsPort: {
    theme: 'server',
    kind: 'port',
    default: 9090,
    doc: 'Port for `/livez`, `/readyz` and `/metrics`. 0 takes any free port. Not for the public.',
  },
  handshakeTimeoutMs: {
    theme: 'server',
    kind: 'integer',
    unit: 'milliseconds',
    default: 5000,
    min: 100,
    max: 30_000,
    doc: 'Time for the relay to answer an upgrade. Past it the client gets `handshake_timeout`.',
  },
  handshakeErrors: {
    theme: 'server',
    kind: 'enum',
    default: 'auto',
    values: ['auto', 'http', 'websocket'],
    doc: 'How a refused client learns why. `http`: an HTTP status with a JSON body. `websocket`: the handshake is completed, then an `Error` message and a close code, because a browser cannot read the status of a failed upgrade. `auto`: `websocket` for a request with an `Origin` header, `http` otherwise.',
  },
  configureTimeoutMs: {
    theme: 'clients',
    kind: 'integer',
    unit: 'milliseconds',
    default: 5000,
    min: 100,
    max: 60_000,
    doc: 'Time for the `Configure` message of a client that announced one with `configure=true`. Past it the session ends with `configure_timeout`.',
  },
  idleTimeoutSeconds: {
    theme: 'clients',
    kind: 'integer',
    unit: 'seconds',
    default: 32,
    min: 8,
    max: 960,
    multipleOf: 4,
    doc: 'A client that neither sends nor answers a ping for this long is gone (`ping_timeout`). Pings are sent by the relay, and answered by every WebSocket library by itself.',
  },
  maxMessageBytes: {
    theme: 'clients',
    kind: 'integer',
    unit: 'bytes',
    default: 65_536,
    min: 1024,
    max: 1_048_576,
    doc: 'Largest message of a client. Past it the session ends with `message_too_big`.',
  },
  messagesPerSecond: {
    theme: 'clients',
    kind: 'integer',
    unit: 'messages per second',
    default: 500,
    min: 10,
    max: 10_000,
    doc: 'Messages of any kind that one client may send, sustained. Past it the session ends with `rate_limited`.',
  },
  clientPartialsBufferBytes: {
    theme: 'clients',
    kind: 'integer',
    unit: 'bytes',
    default: 16_384,
    min: 1024,
    max: 8_388_608,
    doc: 'Results waiting for a client that reads slowly, past which it gets final results only: the next partial result supersedes the one left out.',
  },
  clientSoftBufferBytes: {
    theme: 'clients',
    kind: 'integer',
    unit: 'bytes',
    default: 65_536,
    min: 4096,
    max: 8_388_608,
    doc: 'Results waiting for a client that reads slowly, past which the session ends with `slow_consumer`.',
  },
  clientHardBufferBytes: {
    theme: 'clients',
    kind: 'integer',
    unit: 'bytes',
    default: 262_144,
    min: 69_632,
    max: 16_777_216,
    doc: 'Hard limit of the same buffer, in the socket itself: what is sent above it is lost, the Close frame too. So it leaves room above the soft limit.',
  },
  clientCloseTimeoutMs: {
    theme: 'clients',
    kind: 'integer',
    unit: 'milliseconds',
    default: 16_000,
    min: 100,
    max: 60_000,
    doc: 'Time for a client to read what is left and to answer the Close frame. Past it the connection is cut.',
  },
} as const satisfies Record<string, OptionDefinition>
