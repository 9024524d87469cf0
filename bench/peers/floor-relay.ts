/**
 * The floor: what the machine itself charges for the work of a relay on this stack, and nothing else. uWebSockets.js
 * takes the client's messages; for every 100 ms of audio one frame that was made beforehand is written to a bare TLS
 * socket; results are cut out by their lengths and sent on as they came. No session, no parameters, no signature, no
 * checksum, no copy of the audio, no JSON: it is wrong as a relay, and no right one can be cheaper.
 */
import { randomBytes } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import type { WebSocket } from 'uWebSockets.js'
import { loadUws } from '../../src/server/uws.ts'
import { encodeAudioEvent } from '../../src/eventstream/index.ts'
import { clientFrame } from '../e2e/ws-frames.ts'
import type { PeerOptions, StartPeer } from './peer.ts'

const CHUNK_BYTES = 3200
const WS_LENGTH_OFFSET = 2
const WS_HEADER_BYTES = 4
const PRELUDE_BYTES = 12
const CRC_BYTES = 4

interface SessionData {
  upstream: TLSSocket | null
  isOpen: boolean
  /** Audio of the client that no frame stands for yet. */
  pendingBytes: number
}

/** Masked with a key that stays the same: the work of masking is the relay's, not the floor's. */
const AUDIO_FRAME = clientFrame('binary', encodeAudioEvent(randomBytes(CHUNK_BYTES)))
const END_FRAME = clientFrame('binary', encodeAudioEvent(new Uint8Array(0)))

export const startFloorRelay: StartPeer = async options => {
  const { uws } = await loadUws()
  const app = uws.App()
  app.ws<SessionData>('/v1/stream', {
    compression: uws.DISABLED,
    idleTimeout: 0,
    upgrade: (response, request, context) => {
      response.upgrade(
        { upstream: null, isOpen: false, pendingBytes: 0 },
        request.getHeader('sec-websocket-key'),
        request.getHeader('sec-websocket-protocol'),
        request.getHeader('sec-websocket-extensions'),
        context,
      )
    },
    open: client => {
      client.getUserData().upstream = dial(options, client)
    },
    message: (client, message, isBinary) => {
      const session = client.getUserData()
      if (isBinary) session.pendingBytes += message.byteLength
      if (session.isOpen) forward(session)
      if (!isBinary) session.upstream?.write(END_FRAME)
    },
    close: client => {
      client.getUserData().upstream?.destroy()
    },
  })
  return new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, 0, socket => {
      if (socket === false) reject(new Error('the floor cannot listen'))
      else {
        resolve({
          port: uws.us_socket_local_port(socket),
          close: async () => uws.us_listen_socket_close(socket),
        })
      }
    })
  })
}

function forward(session: SessionData): void {
  for (; session.pendingBytes >= CHUNK_BYTES; session.pendingBytes -= CHUNK_BYTES) {
    session.upstream?.write(AUDIO_FRAME)
  }
}

function dial({ webSocketUrl }: PeerOptions, client: WebSocket<SessionData>): TLSSocket {
  const { hostname, port } = new URL(webSocketUrl)
  const upstream = connect({ host: hostname, port: Number(port) }, () => {
    upstream.setNoDelay(true)
    upstream.write(
      `GET /stream-transcription-websocket?sample-rate=16000 HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    )
  })
  let rest: Buffer = Buffer.alloc(0)
  upstream.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    const session = client.getUserData()
    if (!session.isOpen) {
      const end = rest.indexOf('\r\n\r\n')
      if (end === -1) return
      session.isOpen = true
      forward(session)
      rest = rest.subarray(end + 4)
    }
    while (rest.length >= WS_HEADER_BYTES + PRELUDE_BYTES) {
      const messageBytes = rest.readUInt16BE(WS_LENGTH_OFFSET)
      if (rest.length < WS_HEADER_BYTES + messageBytes) return
      const payloadOffset = WS_HEADER_BYTES + PRELUDE_BYTES + rest.readUInt32BE(WS_HEADER_BYTES + 4)
      client.send(rest.subarray(payloadOffset, WS_HEADER_BYTES + messageBytes - CRC_BYTES), false)
      rest = rest.subarray(WS_HEADER_BYTES + messageBytes)
    }
  })
  upstream.on('error', () => undefined)
  upstream.on('close', () => {
    try {
      client.end(1000)
    } catch {
      // The client left first; uWebSockets.js throws for a socket that is gone.
    }
  })
  return upstream
}
