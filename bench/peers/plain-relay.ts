/**
 * The relay that most people write: `ws` on both sides, AWS's event-stream codec in between, unsigned frames on a
 * presigned WebSocket. Nothing needless: no compression, one encoding a frame, one parse a result. It has none of what
 * makes a relay safe to run (limits, back-pressure, reconnects), and is not charged for it.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Sha256 } from '@smithy/core/checksum'
import { EventStreamCodec } from '@smithy/eventstream-codec'
import { SignatureV4 } from '@smithy/signature-v4'
import { WebSocket, WebSocketServer } from 'ws'
import { isCloseStream, resultMessage, type PeerOptions, type ServiceEvent, type StartPeer } from './peer.ts'

const AUDIO_HEADERS = {
  ':content-type': { type: 'string', value: 'application/octet-stream' },
  ':event-type': { type: 'string', value: 'AudioEvent' },
  ':message-type': { type: 'string', value: 'event' },
} as const
const QUERY = { 'language-code': 'en-US', 'media-encoding': 'pcm' }

const codec = new EventStreamCodec(
  bytes => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')),
  text => Buffer.from(text, 'utf8'),
)

export const startPlainRelay: StartPeer = async options => {
  const signer = new SignatureV4({
    credentials: options.credentials,
    region: options.region,
    service: 'transcribe',
    sha256: Sha256,
  })
  const server = createServer()
  const clients = new WebSocketServer({ server, path: '/v1/stream', perMessageDeflate: false })
  clients.on('connection', (client, request) => {
    const rate = new URL(request.url ?? '', 'ws://relay').searchParams.get('sample-rate') ?? '16000'
    relay(client, presign(signer, options, rate))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', 8192, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        for (const client of clients.clients) client.terminate()
        server.close(() => resolve())
      }),
  }
}

function relay(client: WebSocket, url: Promise<string>): void {
  const waiting: Uint8Array[] = []
  let upstream: WebSocket | null = null

  const send = (frame: Uint8Array): void => {
    if (upstream?.readyState === WebSocket.OPEN) upstream.send(frame)
    else waiting.push(frame)
  }

  client.on('message', (data, isBinary) => {
    const bytes = data as Buffer
    if (isBinary) send(codec.encode({ headers: AUDIO_HEADERS, body: bytes }))
    else if (isCloseStream(bytes.toString('utf8'))) {
      send(codec.encode({ headers: AUDIO_HEADERS, body: new Uint8Array(0) }))
    }
  })
  client.on('close', () => upstream?.close())
  client.on('error', () => upstream?.terminate())

  url
    .then(signed => {
      const socket = new WebSocket(signed, { perMessageDeflate: false })
      upstream = socket
      socket.on('open', () => {
        for (const frame of waiting.splice(0)) socket.send(frame)
      })
      socket.on('message', data => upstreamOnMessage(client, data as Buffer))
      socket.on('close', code => client.close(code === 1000 ? 1000 : 1011))
      socket.on('error', () => client.close(1011))
      return socket
    })
    .catch(() => client.close(1011))
}

function upstreamOnMessage(client: WebSocket, data: Buffer): void {
  const { body, headers } = codec.decode(data)
  if (headers[':message-type']?.value !== 'event') {
    client.close(1011)
    return
  }
  const event = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString()) as ServiceEvent
  for (const result of event.Transcript?.Results ?? []) client.send(resultMessage(result))
}

async function presign(signer: SignatureV4, options: PeerOptions, sampleRate: string): Promise<string> {
  const { host } = new URL(options.webSocketUrl)
  const signed = await signer.presign({
    method: 'GET',
    protocol: 'wss:',
    hostname: host,
    path: '/stream-transcription-websocket',
    query: { ...QUERY, 'sample-rate': sampleRate },
    headers: { host },
  })
  const query = Object.entries(signed.query ?? {}).map(
    ([name, value]) => `${name}=${encodeURIComponent(String(value))}`,
  )
  return `${options.webSocketUrl}${signed.path}?${query.join('&')}`
}
