/** The TCP sockets of a server: to cut them all at its end, and to find the one below TLS or HTTP/2. */
import type { AddressInfo, Server, Socket } from 'node:net'

export class TcpSockets {
  readonly #sockets = new Set<Socket>()

  /** The server's own view: with TLS, what it calls a connection is the socket below. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** The TCP socket with the same far end as `socket`, which may be a TLS socket over it. */
  below(socket: Socket): Socket {
    const { remoteAddress, remotePort } = socket
    for (const candidate of this.#sockets) {
      if (candidate.remotePort === remotePort && candidate.remoteAddress === remoteAddress) return candidate
    }
    return socket
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Fulfilled with the port number. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}
