/**
 * The upstream of the benches, a process of its own: Amazon Transcribe's two transports over TLS, as cheap as can be.
 *
 * The project's emulator verifies signatures, hashes audio and finds speech, which at a thousand sessions would cost more
 * than the relays that are measured. This one counts bytes and answers with results made beforehand, at fixed positions of
 * the audio. Each says how long it took here from the arrival of the audio, so that it can be subtracted.
 */
import { readFileSync } from 'node:fs'
import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import { createServer, type TLSSocket } from 'node:tls'
import type { AddressInfo, Server } from 'node:net'
import { answer, readConfig } from './child.ts'
import { ScriptedResult } from './scripted-result.ts'
import { watchUsage } from './usage.ts'
import { acceptOf, FrameReader, OPCODE, serverFrame } from './ws-frames.ts'

export interface UpstreamConfig {
  readonly keyFile: string
  readonly certFile: string
  readonly sampleRateHz: number
  /** Audio between two results. */
  readonly resultEveryMs: number
  /** More text in every result. */
  readonly fillerBytes: number
  /** Stops reading after the handshake: audio piles up in the relay. */
  readonly isSlow: boolean
}

/** `:content-type`, `:event-type`, `:message-type` and the lengths around an AudioEvent. */
const AUDIO_OVERHEAD_BYTES = 104
/** Around a signed message: lengths, `:date`, `:chunk-signature`. Alone it is the end of the audio. */
const SIGNED_OVERHEAD_BYTES = 83
const PARTIALS_PER_FINAL = 6
const BYTES_PER_SAMPLE = 2
const NORMAL_CLOSE = serverFrame('close', Buffer.from([0x03, 0xe8]))
const MAX_HEAD_BYTES = 16 * 1024

const config = readConfig() as UpstreamConfig
const tls = { key: readFileSync(config.keyFile), cert: readFileSync(config.certFile) }
const result = new ScriptedResult(config.fillerBytes)
const resultEveryBytes = Math.round((config.sampleRateHz * BYTES_PER_SAMPLE * config.resultEveryMs) / 1000)
let streamCount = 0
let audioBytes = 0

/** Results by the audio of one stream; `send` takes one whole event-stream message. */
class Script {
  readonly #send: (message: Buffer) => void
  #heardBytes = 0
  #answeredBytes = 0
  #resultCount = 0

  constructor(send: (message: Buffer) => void) {
    this.#send = send
  }

  hear(bytes: number, arrivedMs: number): void {
    audioBytes += bytes
    this.#heardBytes += bytes
    if (this.#heardBytes - this.#answeredBytes < resultEveryBytes) return
    this.#answeredBytes = this.#heardBytes
    this.#resultCount++
    this.#say(this.#resultCount % PARTIALS_PER_FINAL === 0, arrivedMs)
  }

  end(arrivedMs: number): void {
    this.#say(true, arrivedMs)
  }

  #say(isFinal: boolean, arrivedMs: number): void {
    const endSeconds = this.#heardBytes / (config.sampleRateHz * BYTES_PER_SAMPLE)
    this.#send(result.render(endSeconds, isFinal, (performance.now() - arrivedMs) * 1000))
  }
}

function serverOnConnection(socket: TLSSocket): void {
  let head = Buffer.alloc(0)
  let arrivedMs = 0
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  const script = new Script(message => socket.write(serverFrame('binary', message)))
  const reader = new FrameReader(
    {
      readerOnFrame: (opcode, payloadBytes) => {
        if (opcode === OPCODE.binary && payloadBytes > AUDIO_OVERHEAD_BYTES) {
          script.hear(payloadBytes - AUDIO_OVERHEAD_BYTES, arrivedMs)
        } else if (opcode === OPCODE.binary) {
          script.end(arrivedMs)
          socket.end(NORMAL_CLOSE)
        } else if (opcode === OPCODE.close) {
          socket.end(NORMAL_CLOSE)
        }
      },
    },
    false,
  )
  const onFrames = (bytes: Buffer): void => {
    arrivedMs = performance.now()
    reader.push(bytes)
  }
  const onHead = (bytes: Buffer): void => {
    head = Buffer.concat([head, bytes])
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) {
      if (head.length > MAX_HEAD_BYTES) socket.destroy()
      return
    }
    const key = /^sec-websocket-key: *(\S+)/im.exec(head.toString('latin1', 0, end))?.[1] ?? ''
    streamCount++
    socket.once('close', () => streamCount--)
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
    )
    socket.off('data', onHead)
    if (config.isSlow) {
      socket.pause()
      return
    }
    socket.on('data', onFrames)
    if (head.length > end + 4) onFrames(head.subarray(end + 4))
    head = Buffer.alloc(0)
  }
  socket.on('data', onHead)
}

function serverOnStream(stream: ServerHttp2Stream): void {
  streamCount++
  stream.on('error', () => undefined)
  stream.once('close', () => streamCount--)
  stream.respond({ ':status': 200, 'content-type': 'application/vnd.amazon.eventstream' })
  if (config.isSlow) return
  const script = new Script(message => stream.write(Buffer.from(message)))
  let rest: Buffer = Buffer.alloc(0)
  let skipBytes = 0
  stream.on('data', (chunk: Buffer) => {
    const arrivedMs = performance.now()
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    rest = Buffer.alloc(0)
    for (;;) {
      const dropBytes = Math.min(skipBytes, bytes.length)
      skipBytes -= dropBytes
      bytes = bytes.subarray(dropBytes)
      if (bytes.length < 4) break
      const totalBytes = bytes.readUInt32BE(0)
      skipBytes = totalBytes
      const audio = totalBytes - SIGNED_OVERHEAD_BYTES - AUDIO_OVERHEAD_BYTES
      if (audio > 0) script.hear(audio, arrivedMs)
      else if (totalBytes === SIGNED_OVERHEAD_BYTES) {
        script.end(arrivedMs)
        stream.end()
      }
    }
    if (bytes.length > 0) rest = Buffer.from(bytes)
  })
}

function listen(server: Server): Promise<number> {
  return new Promise(resolve => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () =>
      resolve((server.address() as AddressInfo).port),
    )
  })
}

const webSockets = createServer(tls, serverOnConnection)
const http2 = createSecureServer(tls)
http2.on('stream', serverOnStream)
http2.on('session', session => {
  // AWS's SDK says GOAWAY once it has the headers; closing with it would cut the stream.
  session.close = () => undefined
  session.on('error', () => undefined)
})
for (const server of [webSockets, http2]) server.on('tlsClientError', () => undefined)
const ports = Promise.all([listen(webSockets), listen(http2)])
const usage = watchUsage()

answer({
  start: async () => {
    const [webSocketPort, http2Port] = await ports
    return { webSocketUrl: `wss://127.0.0.1:${webSocketPort}`, http2Url: `https://127.0.0.1:${http2Port}` }
  },
  usage: () => ({ ...usage(), streamCount, audioBytes }),
})
