/**
 * Small servers that stand where Amazon Transcribe would, on port 0, ended with the test that opened them.
 */
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Endpoint } from '../../src/transcribe/endpoints.ts'
import { resolveEndpoint } from '../../src/transcribe/endpoints.ts'
import type { KeyPair } from './certificates.ts'

/** Listens, remembers the sockets, and ends both with the test. Returns the port. */
export async function listen(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // A peer that breaks off is part of many a test.
    socket.on('error', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  })
  return (server.address() as AddressInfo).port
}

export function localEndpoint(port: number, scheme: 'ws' | 'wss' = 'ws', hostname = '127.0.0.1'): Endpoint {
  return resolveEndpoint({ region: 'us-east-1', endpointOverride: `${scheme}://${hostname}:${port}` })
}

export interface Refusal {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface ServerOptions {
  readonly tls?: KeyPair & https.ServerOptions
  /** Asked at each upgrade; `null` accepts. */
  readonly refuse?: (request: http.IncomingMessage, attempt: number) => Refusal | null
  readonly onOpen?: (webSocket: WebSocket, socket: net.Socket) => void
  /** Headers of the 101. */
  readonly headers?: readonly string[]
}

export interface UpstreamServer {
  readonly endpoint: Endpoint
  readonly requests: http.IncomingMessage[]
}

/** A WebSocket server that accepts or refuses each upgrade. */
export async function startUpstream(t: Test, options: ServerOptions = {}): Promise<UpstreamServer> {
  const requests: http.IncomingMessage[] = []
  const server = options.tls === undefined ? http.createServer() : https.createServer(options.tls)
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  webSockets.on('headers', headers => headers.push(...(options.headers ?? [])))
  server.on('upgrade', (request, socket: net.Socket, head) => {
    requests.push(request)
    const refusal = options.refuse?.(request, requests.length) ?? null
    if (refusal === null) {
      webSockets.handleUpgrade(request, socket, head, webSocket => {
        webSocket.on('error', () => webSocket.terminate())
        options.onOpen?.(webSocket, socket)
      })
      return
    }
    const { status, headers = {}, body = '' } = refusal
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join('')}Connection: close\r\n\r\n${body}`)
  })
  const port = await listen(t, server)
  return {
    endpoint: options.tls === undefined ? localEndpoint(port) : localEndpoint(port, 'wss', 'localhost'),
    requests,
  }
}

/** A TCP server that does as it is told with each connection. */
export async function startTcp(t: Test, onConnection: (socket: net.Socket) => void): Promise<number> {
  return listen(t, net.createServer(onConnection))
}

/** When the next HTTP client of this process has got the head of its answer, and has told its listeners. */
export async function whenClientGetsResponse(): Promise<void> {
  await new Promise<void>(resolve => {
    function clientOnResponse(): void {
      diagnostics.unsubscribe('http.client.response.finish', clientOnResponse)
      setImmediate(resolve)
    }
    diagnostics.subscribe('http.client.response.finish', clientOnResponse)
  })
}
