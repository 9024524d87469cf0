/** A TCP proxy that cuts every connection through it when a test says so, or lets it die in silence. Emits `cut`. */
import { EventEmitter, once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Closing } from './world.ts'

export class CuttingProxy extends EventEmitter {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #target: number
  cuts = 0

  private constructor(target: number) {
    super()
    this.#target = target
    this.#server = createServer(client => this.#join(client))
  }

  /** On a port of its own, in front of `target`; closed with the test. */
  static async start(t: Closing, target: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    t.teardown(() => {
      proxy.#destroy()
      proxy.#server.close()
    })
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Of connections from now on. */
  leadTo(target: number): void {
    this.#target = target
  }

  cut(): void {
    this.cuts += 1
    this.#destroy()
    this.emit('cut')
  }

  /** Of the connections that there are nothing goes on in either direction, and nobody is told. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  #destroy(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
    this.#sockets.clear()
  }

  #join(client: Socket): void {
    const relay = connect(this.#target, '127.0.0.1')
    for (const [socket, other] of [
      [client, relay],
      [relay, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.pipe(other)
      // A cut is an error on the other side, and the close follows.
      socket.on('error', () => other.destroy())
      socket.on('close', () => this.#sockets.delete(socket))
    }
  }
}
