/** Clients that replace each other: always about as many, none for long. */
import { WebSocket } from 'ws'
import { TAPE_BYTES_PER_SECOND } from '../chaos/tape.ts'

export interface CrowdOptions {
  readonly url: string
  readonly pcm: Buffer
  readonly size: number
  /** In [0, 1). */
  readonly random: () => number
}

const MIN_LIFE_SECONDS = 2
const MAX_LIFE_SECONDS = 12
const PIECE_MS = 100
const MAX_PIECE_BYTES = 16_000
/** Clients that still wait for their last results are cut off then. */
const END_LIMIT_MS = 20_000

interface Member {
  readonly webSocket: WebSocket
  readonly startedMs: number
  readonly lifeMs: number
  sentBytes: number
  hasEnded: boolean
}

export class Crowd {
  readonly ends: Record<string, number> = {}
  readonly #options: CrowdOptions
  readonly #members = new Set<Member>()
  #number = 0
  #isChurning = false
  #onEmpty: (() => void) | null = null
  readonly #sender: NodeJS.Timeout

  constructor(options: CrowdOptions) {
    this.#options = options
    this.#sender = setInterval(() => this.#send(), PIECE_MS)
  }

  /** Clients so far. */
  get started(): number {
    return this.#number
  }

  /** Keeps the crowd at its size for so long, then ends everybody. Resolves when all are gone. */
  async churn(seconds: number): Promise<void> {
    this.#isChurning = true
    for (let index = 0; index < this.#options.size; index += 1) this.#join()
    await new Promise(resolve => setTimeout(resolve, seconds * 1000))
    this.#isChurning = false
    for (const member of this.#members) this.#end(member)
    if (this.#members.size === 0) return
    const cutter = setTimeout(() => {
      for (const { webSocket } of this.#members) webSocket.terminate()
    }, END_LIMIT_MS)
    await new Promise<void>(resolve => (this.#onEmpty = resolve))
    clearTimeout(cutter)
  }

  close(): void {
    clearInterval(this.#sender)
    this.#isChurning = false
    for (const { webSocket } of this.#members) webSocket.terminate()
  }

  #join(): void {
    const { random, url } = this.#options
    const webSocket = new WebSocket(`${url}?vocabulary-name=soak-${this.#number}`, {
      perMessageDeflate: false,
    })
    this.#number += 1
    const member = {
      webSocket,
      startedMs: performance.now(),
      lifeMs: (MIN_LIFE_SECONDS + random() * (MAX_LIFE_SECONDS - MIN_LIFE_SECONDS)) * 1000,
      sentBytes: 0,
      hasEnded: false,
    }
    this.#members.add(member)
    // What matters of an error is the close that follows.
    webSocket.on('error', () => undefined)
    webSocket.on('message', () => undefined)
    webSocket.on('close', (code, reason) => this.#leave(member, `${code} ${reason.toString()}`.trim()))
  }

  #leave(member: Member, end: string): void {
    this.#members.delete(member)
    this.ends[end] = (this.ends[end] ?? 0) + 1
    if (this.#isChurning) return this.#join()
    if (this.#members.size > 0) return
    this.#onEmpty?.()
    this.#onEmpty = null
  }

  #send(): void {
    const nowMs = performance.now()
    for (const member of this.#members) {
      const { lifeMs, startedMs, webSocket } = member
      if (member.hasEnded || webSocket.readyState !== WebSocket.OPEN) continue
      const dueBytes = Math.floor(((nowMs - startedMs) / 1000) * TAPE_BYTES_PER_SECOND) & ~1
      // After a moment without the processor more is due than one message may hold.
      while (member.sentBytes < dueBytes) {
        const endBytes = Math.min(dueBytes, member.sentBytes + MAX_PIECE_BYTES)
        webSocket.send(this.#options.pcm.subarray(member.sentBytes, endBytes))
        member.sentBytes = endBytes
      }
      if (nowMs - startedMs >= lifeMs) this.#end(member)
    }
  }

  /** Well, mostly. */
  #end(member: Member): void {
    if (member.hasEnded) return
    member.hasEnded = true
    const { webSocket } = member
    const luck = this.#options.random()
    if (webSocket.readyState !== WebSocket.OPEN || luck < 0.1) webSocket.terminate()
    else if (luck < 0.2) webSocket.close(1000)
    else webSocket.send('{"type":"CloseStream"}')
  }
}
