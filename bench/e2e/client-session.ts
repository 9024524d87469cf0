/**
 * One client of a relay, as cheap as can be: a bare socket, frames made beforehand, results read just far enough to know
 * which audio they cover.
 */
import { randomBytes } from 'node:crypto'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { HELD_PATTERN } from './scripted-result.ts'
import type { WheelRider } from './timer-wheel.ts'
import { clientFrame, FrameReader, OPCODE } from './ws-frames.ts'

export interface ClientTarget {
  readonly url: URL
  /** Sent as a bearer token; `null`: none. */
  readonly token: string | null
  readonly frames: readonly Buffer[]
  readonly chunkMs: number
  /** Says `KeepAlive` at every turn instead of audio. */
  readonly isIdle: boolean
  /** Stops reading after the handshake. */
  readonly isSlow: boolean
}

export interface ClientListener {
  sessionOnOpen(session: ClientSession, connectMs: number): void
  /** From the sending of the audio's last chunk to the result, without the time that the upstream held it. */
  sessionOnResult(addedMs: number): void
  sessionOnSent(): void
  /** `null`: closed with 1000. */
  sessionOnClose(session: ClientSession, error: string | null): void
}

/** How many chunks back a result may reach. */
const REMEMBERED_CHUNKS = 256
/** Of our messages, or of the service's: there the items before it have end times of their own. */
const END_PATTERN = /"end": *([0-9.]+)|"EndTime": *([0-9.]+),"IsPartial"/
const CODE_PATTERN = /"code":"([a-z_]+)"/
const CLOSE_STREAM = clientFrame('text', Buffer.from('{"type":"CloseStream"}'))
const KEEP_ALIVE = clientFrame('text', Buffer.from('{"type":"KeepAlive"}'))
const NORMAL_CLOSE = 1000
/** An idle client says something now and then, not at every turn. */
const IDLE_TURNS = 50
const MAX_HEAD_BYTES = 16 * 1024

export class ClientSession implements WheelRider {
  readonly #target: ClientTarget
  readonly #listener: ClientListener
  readonly #socket: Socket
  readonly #startedMs = performance.now()
  readonly #sentAtMs = new Float64Array(REMEMBERED_CHUNKS)
  readonly #firstFrame: number
  #chunkCount = 0
  #turnCount = 0
  #error: string | null = null
  #isOpen = false
  #wasOpened = false
  #isEnding = false

  constructor(target: ClientTarget, number: number, listener: ClientListener) {
    this.#target = target
    this.#listener = listener
    // Every client is somewhere else in the speech.
    this.#firstFrame = number * 7
    const { hostname, port, protocol } = target.url
    const isSecure = protocol === 'wss:'
    const to = { host: hostname, port: port === '' ? (isSecure ? 443 : 80) : Number(port) }
    const onConnect = (): void => this.#shakeHands()
    this.#socket = isSecure
      ? connectTls({ ...to, servername: hostname }, onConnect)
      : connectTcp({ ...to, noDelay: true }, onConnect)
    this.#socket.on('error', error => {
      this.#error ??= 'code' in error ? String(error.code) : error.name
    })
    this.#socket.on('close', () => this.#listener.sessionOnClose(this, this.#verdict()))
  }

  /** The handshake was completed, whatever came afterwards. */
  get wasOpened(): boolean {
    return this.#wasOpened
  }

  wheelOnTurn(): void {
    if (!this.#isOpen || this.#isEnding) return
    if (this.#target.isIdle) {
      if (this.#turnCount++ % IDLE_TURNS === 0) this.#socket.write(KEEP_ALIVE)
      return
    }
    const { frames } = this.#target
    const frame = frames[(this.#firstFrame + this.#chunkCount) % frames.length]
    if (frame === undefined) return
    this.#sentAtMs[this.#chunkCount % REMEMBERED_CHUNKS] = performance.now()
    this.#chunkCount++
    this.#socket.write(frame)
    this.#listener.sessionOnSent()
  }

  /** Ends the audio; the relay closes after the last result. */
  finish(): void {
    this.#isEnding = true
    if (this.#isOpen) this.#socket.write(CLOSE_STREAM)
    else this.#socket.destroy()
  }

  destroy(): void {
    this.#isEnding = true
    this.#socket.destroy()
  }

  #verdict(): string | null {
    if (this.#error !== null) return this.#error
    return this.#isEnding ? null : 'closed_without_reason'
  }

  #shakeHands(): void {
    const { token, url } = this.#target
    this.#socket.write(
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
        `${token === null ? '' : `Authorization: Bearer ${token}\r\n`}\r\n`,
    )
    let head = Buffer.alloc(0)
    const reader = new FrameReader(
      { readerOnFrame: (opcode, _bytes, payload) => this.#readerOnFrame(opcode, payload) },
      true,
    )
    const onHead = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf('\r\n\r\n')
      if (end === -1 && head.length < MAX_HEAD_BYTES) return
      const status = head.toString('latin1', 9, 12)
      if (end === -1 || status !== '101') {
        this.#error = `http_${status}`
        this.#socket.destroy()
        return
      }
      this.#socket.off('data', onHead)
      this.#isOpen = true
      this.#wasOpened = true
      this.#listener.sessionOnOpen(this, performance.now() - this.#startedMs)
      if (this.#target.isSlow) {
        this.#socket.pause()
        return
      }
      this.#socket.on('data', bytesOfFrames => reader.push(bytesOfFrames))
      if (head.length > end + 4) reader.push(head.subarray(end + 4))
    }
    this.#socket.on('data', onHead)
  }

  #readerOnFrame(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.text) this.#readText(payload.toString('latin1'))
    else if (opcode === OPCODE.ping) this.#socket.write(clientFrame('pong', payload))
    else if (opcode === OPCODE.close) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : NORMAL_CLOSE
      if (code === NORMAL_CLOSE) this.#isEnding = true
      else this.#error ??= `close_${code}`
      this.#isOpen = false
      this.#socket.end(clientFrame('close', payload.subarray(0, 2)))
    }
  }

  #readText(text: string): void {
    if (text.startsWith('{"type":"Error"')) {
      this.#error = CODE_PATTERN.exec(text)?.[1] ?? 'error'
      return
    }
    const match = END_PATTERN.exec(text)
    const end = match?.[1] ?? match?.[2]
    if (end === undefined || this.#isEnding) return
    const chunk = Math.round((Number(end) * 1000) / this.#target.chunkMs) - 1
    if (chunk < 0 || chunk >= this.#chunkCount || chunk < this.#chunkCount - REMEMBERED_CHUNKS) return
    const sentAtMs = this.#sentAtMs[chunk % REMEMBERED_CHUNKS] ?? 0
    const heldMicros = Number(HELD_PATTERN.exec(text)?.[1] ?? 0)
    this.#listener.sessionOnResult(performance.now() - sentAtMs - heldMicros / 1000)
  }
}
