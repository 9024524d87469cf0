/**
 * What the Autobahn test suite drives: the listener of the product with a session that echoes, because the suite expects
 * every message back and a real session answers with transcripts. The native options, the handshake and `ClientSocket` are
 * those of the product.
 *
 * One thing is added: the port of a session sends text only, so binary messages go back over the native socket itself.
 */
import { RelayError } from '../../src/errors.ts'
import { createClientServer } from '../../src/server/app.ts'
import { ClientSocket, type NativeSocket } from '../../src/server/client-socket.ts'
import type { Resumption, SessionHost } from '../../src/session/host.ts'
import type { ClientListener, ClientPort } from '../../src/session/ports.ts'
import { RecordingMetrics, STREAM_DEFAULTS } from '../support/client-server.ts'
import type { Closing } from '../support/world.ts'

/** The most that can be set; the default, 64 KiB, is too little for section 9. */
export const TARGET_LIMITS = {
  maxMessageBytes: 1024 * 1024,
  clientHardBufferBytes: 16 * 1024 * 1024,
} as const

export interface EchoTarget {
  /** Of the WebSocket route. */
  readonly url: string
  /** The native build, as `package version`. */
  readonly build: string
  readonly metrics: RecordingMetrics
  /** What went wrong that no peer could be blamed for. */
  readonly failures: unknown[]
}

/** Ended by the teardown. */
export async function startEchoTarget(t: Closing): Promise<EchoTarget> {
  const host = new EchoHost(watchNativeSockets(t))
  const metrics = new RecordingMetrics()
  const server = createClientServer(
    {
      port: 0,
      ...TARGET_LIMITS,
      metrics,
      onFailure: error => host.failures.push(error),
      streamDefaults: STREAM_DEFAULTS,
    },
    host,
  )
  const { host: address, port } = await server.listen()
  t.teardown(() => server.close())
  const build = server.build === null ? 'none' : `${server.build.packageName} ${server.build.version}`
  return { url: `ws://${address}:${port}/v1/stream`, build, metrics, failures: host.failures }
}

type NativeSockets = Pick<WeakMap<ClientPort, NativeSocket>, 'get'>

/** Remembers the native socket of each client until the teardown. */
function watchNativeSockets(t: Closing): NativeSockets {
  const sockets = new WeakMap<ClientPort, NativeSocket>()
  const { prototype } = ClientSocket
  const original = Object.getOwnPropertyDescriptor(prototype, 'socketOnOpen')
  if (original === undefined) throw new Error('ClientSocket has no socketOnOpen')
  const open = original.value as (this: ClientSocket, socket: NativeSocket) => void
  Object.defineProperty(prototype, 'socketOnOpen', {
    ...original,
    value(this: ClientSocket, socket: NativeSocket): void {
      sockets.set(this, socket)
      open.call(this, socket)
    },
  })
  t.teardown(() => Object.defineProperty(prototype, 'socketOnOpen', original))
  return sockets
}

class EchoHost implements SessionHost {
  readonly failures: unknown[] = []
  readonly #sockets: NativeSockets

  constructor(sockets: NativeSockets) {
    this.#sockets = sockets
  }

  admit(): null {
    return null
  }

  open(client: ClientPort): ClientListener {
    const socket = this.#sockets.get(client)
    if (socket === undefined) throw new Error('a client without a native socket')
    return new EchoSession(client, socket, this.failures)
  }

  findResumable(): Resumption {
    throw new RelayError('resume_not_found')
  }
}

/** Ends as a session does: 1009 for what is too long, 1008 for what the listener refuses, 1011 for a bug. */
class EchoSession implements ClientListener {
  readonly #client: ClientPort
  readonly #socket: NativeSocket
  readonly #failures: unknown[]

  constructor(client: ClientPort, socket: NativeSocket, failures: unknown[]) {
    this.#client = client
    this.#socket = socket
    this.#failures = failures
  }

  clientOnAudio(pcm: Uint8Array): void {
    // 2: the native socket dropped it.
    if (this.#socket.send(pcm, true, false) === 2)
      throw new Error(`an echo of ${pcm.length} bytes was dropped`)
  }

  clientOnText(message: string): void {
    if (this.#client.sendText(message) === 'dropped')
      throw new Error(`an echo of ${message.length} characters was dropped`)
  }

  clientOnOversize(): void {
    this.#client.close(1009, 'message_too_big')
  }

  clientOnClose(): void {
    // Nothing is held for a client.
  }

  clientOnFailure(error: unknown): void {
    if (error instanceof RelayError) {
      this.#client.close(1008, error.code)
      return
    }
    this.#failures.push(error)
    this.#client.close(1011, 'internal')
  }
}
