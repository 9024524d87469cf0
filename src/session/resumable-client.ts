/**
 * A client that may lose its socket and come back: stands between a session and one socket after another.
 *
 *     attached ── socket lost ──▶ away ── resumed ──▶ attached, at first catching up
 *        │  └─ the same with a new socket while the old one seems alive: the old one is closed (take-over)
 *        │                          └── window over: the session hears that the client is gone
 *        └── the client closes, or breaks the protocol: the session hears it at once
 *
 * Every message is numbered and kept (`message-log.ts`), so that what a client did not see can be said again, in order,
 * at the pace at which it reads. The session may end while nobody is there, and a Close frame does not tell whether
 * the last results were read: what was said is kept for one more window after the end.
 */
import type { Clock } from '../clock.ts'
import { RelayError, type ErrorCode } from '../errors.ts'
import {
  ackMessage,
  errorMessage,
  resumedMessage,
  type AudioPosition,
  type ResumeOffer,
} from '../protocol/server-messages.ts'
import { MessageLog } from './message-log.ts'
import type { ClientEnd, ClientListener, ClientPort, SendResult } from './ports.ts'
import type { SessionTokens } from './resume-token.ts'

/** What is asked of the session. */
export interface ResumableSession extends ClientListener {
  /** Of its audio; `null` while unknown, and for compressed audio, whose length its size does not tell. */
  readonly audioBytesPerSecond: number | null
  /** The client is back after it could send nothing for so long: it may send that now. */
  clientOnResume(awayMs: number): void
  finishWith(code: ErrorCode): void
}

export interface ResumeLimits {
  /** How long a session waits for its client. */
  readonly resumeSeconds: number
  /** Messages kept for one session. */
  readonly resumeBufferBytes: number
  /** Longest time in which audio that arrived is acknowledged. */
  readonly resumeAckMs: number
  /** Above it, what is said again waits until the client has read. */
  readonly clientSoftBufferBytes: number
}

export interface ResumableContext {
  readonly sessionId: string
  readonly clock: Clock
  readonly limits: ResumeLimits
  readonly tokens: SessionTokens
  /** The client is away, and the session with it or not. */
  onAway(client: ResumableClient): void
  onBack(): void
  /** Nobody can come back any more: there is nothing left to know of this client. */
  onForgotten(client: ResumableClient): void
  /** Neither the session nor a socket of it is left. */
  onOver(): void
}

/** One socket of the client. What it reports after it was replaced is not heard. */
interface Connection {
  readonly port: ClientPort
  /** Messages of before are on their way: not sent yet, or sent and not read. */
  isCatchingUp: boolean
}

/** A session that is over waits so long for a client that is still reading what it missed. */
export const LAST_READ_MS = 10_000

/** Without a close code, by the code that the protocol asks for, or by one of its own: the client is done. */
const NO_STATUS_CODE = 1005
const CLOSE_NORMAL = 1000
const PRIVATE_CODES = { from: 4000, to: 4999 } as const

export class ResumableClient implements ClientPort {
  readonly sessionId: string
  readonly #context: ResumableContext
  readonly #log: MessageLog
  #session: ResumableSession | null = null
  #connection: Connection | null = null
  /** How the session told its client to go; `null`: it goes on. */
  #ending: { readonly closeCode: number; readonly reason: string } | null = null
  /** Since when it has been told to go, or was last back after that. */
  #endingAtMs = Infinity
  #isSessionClosed = false
  #isOver = false
  /** How the last socket was lost. */
  #loss: ClientEnd | null = null
  #forgetAtMs = Infinity
  #heardAtMs: number
  #audioBytes = 0
  #ackedBytes = 0
  #ackedAtMs: number

  constructor(context: ResumableContext) {
    this.sessionId = context.sessionId
    this.#context = context
    this.#log = new MessageLog(context.limits.resumeBufferBytes)
    this.#heardAtMs = context.clock.monotonicMs()
    this.#ackedAtMs = this.#heardAtMs
  }

  get isAway(): boolean {
    return this.#connection === null
  }

  get isSessionClosed(): boolean {
    return this.#isSessionClosed
  }

  /** The first socket, with which the session begins. */
  begin(port: ClientPort, session: ResumableSession): ClientListener {
    this.#session = session
    return this.#connect(port, false, session)
  }

  /** Whether there is everything after message `seq`. */
  refusalOf(seq: number): RelayError | null {
    const { firstSeq, lastSeq } = this.#log
    if (seq > lastSeq) {
      const message = `seq must be at most ${lastSeq}, the last message of the session, got ${seq}.`
      return new RelayError('invalid_request', { message })
    }
    if (seq >= firstSeq - 1) return null
    const message = `Messages after ${seq} are not kept any more; the oldest that is kept is ${firstSeq}.`
    return new RelayError('resume_gap', { message })
  }

  matches(secret: Buffer): boolean {
    return this.#context.tokens.matches(secret)
  }

  /** Goes on with another socket, after message `seq`, which was checked. */
  resume(port: ClientPort, seq: number, secret: Buffer): ClientListener {
    const { clock, limits, tokens } = this.#context
    const session = this.#requireSession()
    this.#replace()
    const awayMs = clock.monotonicMs() - this.#heardAtMs
    const listener = this.#connect(port, true, session)
    this.#log.rewindTo(seq)
    const resume = { token: tokens.issue(secret), windowSeconds: limits.resumeSeconds }
    this.#loss = null
    if (!this.#isSessionClosed) {
      this.#forgetAtMs = Infinity
      session.clientOnResume(awayMs)
    }
    port.sendText(resumedMessage({ sessionId: this.sessionId, resume, ...this.#position }))
    this.#acknowledged()
    this.#catchUp()
    this.#context.onBack()
    return listener
  }

  /** Acknowledges audio, and gives up a client that does not come back. */
  tick(nowMs: number): void {
    if (this.#connection === null) {
      if (nowMs >= this.#forgetAtMs) this.#giveUp()
      return
    }
    const { resumeAckMs } = this.#context.limits
    if (nowMs - this.#endingAtMs >= LAST_READ_MS) this.#hangUp()
    if (this.#ending !== null || this.#audioBytes === this.#ackedBytes || !this.#context.tokens.areIssued)
      return
    if (nowMs - this.#ackedAtMs < resumeAckMs || this.#connection.port.bufferedBytes() > 0) return
    this.#connection.port.sendText(ackMessage(this.#position))
    this.#acknowledged()
  }

  /** The session is closed: its own last word. */
  sessionOnClosed(): void {
    this.#isSessionClosed = true
    if (this.#ending === null || !this.#context.tokens.areIssued) this.#forget()
    else this.#forgetAtMs = this.#context.clock.monotonicMs() + this.#windowMs
    this.#watchOver()
  }

  /** As `Session.finishWith`. */
  finishWith(code: ErrorCode): void {
    this.#session?.finishWith(code)
  }

  /** Only while the session is closed: makes room for others. */
  forget(): void {
    this.#hangUp()
    this.#forget()
  }

  // ── ClientPort ──────────────────────────────────────────────────────────────────────────────────────────────────

  offerResume(): ResumeOffer | undefined {
    const { resumeSeconds: windowSeconds } = this.#context.limits
    // Without a token nobody comes back, and nothing waits.
    return windowSeconds === 0 ? undefined : { token: this.#context.tokens.issue(null), windowSeconds }
  }

  sendText(message: string): SendResult {
    const isWhole = this.#log.append(message)
    const connection = this.#connection
    // Who is away is told on return that something is missing; who is here and does not read has to go.
    if (connection === null) return 'sent'
    if (connection.isCatchingUp) {
      this.#catchUp()
      return isWhole ? 'sent' : 'dropped'
    }
    return connection.port.sendText(this.#log.next() ?? message)
  }

  sendTexts(messages: readonly string[]): SendResult {
    const connection = this.#connection
    if (connection === null || connection.isCatchingUp) {
      const results = messages.map(message => this.sendText(message))
      return results.includes('dropped') ? 'dropped' : 'sent'
    }
    const numbered = messages.map(message => {
      this.#log.append(message)
      return this.#log.next() ?? message
    })
    return connection.port.sendTexts(numbered)
  }

  bufferedBytes(): number {
    const { unsentBytes } = this.#log
    // Room for partial results as well, but the finals of the rest of the window must find some.
    const waiting = Math.max(0, unsentBytes - this.#context.limits.resumeBufferBytes / 2)
    return this.#connection === null ? waiting : waiting + this.#connection.port.bufferedBytes()
  }

  close(closeCode: number, reason: string): void {
    this.#ending = { closeCode, reason }
    this.#endingAtMs = this.#context.clock.monotonicMs()
    if (this.#connection?.isCatchingUp === true) this.#catchUp()
    else this.#connection?.port.close(closeCode, reason)
  }

  // ── one socket after another ────────────────────────────────────────────────────────────────────────────────────

  #connect(port: ClientPort, isCatchingUp: boolean, session: ResumableSession): ClientListener {
    const connection: Connection = { port, isCatchingUp }
    this.#connection = connection
    if (this.#ending !== null) this.#endingAtMs = this.#context.clock.monotonicMs()
    const isHeard = () => this.#connection === connection && this.#ending === null
    return {
      clientOnAudio: pcm => {
        if (!isHeard()) return
        this.#heard()
        this.#audioBytes += pcm.length
        session.clientOnAudio(pcm)
      },
      clientOnText: text => {
        if (!isHeard()) return
        this.#heard()
        session.clientOnText(text)
      },
      clientOnOversize: bytes => {
        if (isHeard()) session.clientOnOversize(bytes)
      },
      clientOnFailure: error => {
        if (isHeard()) session.clientOnFailure(error)
      },
      clientOnDrain: () => {
        if (this.#connection === connection) this.#catchUp()
      },
      clientOnClose: end => {
        if (this.#connection === connection) this.#lost(end, session)
      },
    }
  }

  /** The newest socket is the one that works: the client would not come back otherwise. */
  #replace(): void {
    const old = this.#connection?.port
    this.#connection = null
    if (old === undefined) return
    const error = new RelayError('resume_taken')
    old.sendText(errorMessage(error, this.sessionId))
    old.close(error.definition.closeCode ?? CLOSE_NORMAL, error.code)
  }

  #lost(end: ClientEnd, session: ResumableSession): void {
    this.#connection = null
    if (this.#isSessionClosed) return this.#watchOver()
    // Told to go, but the session is still busy with its end.
    if (this.#ending !== null) return
    if (!this.#context.tokens.areIssued || isFarewell(end)) return session.clientOnClose(end)
    this.#loss = end
    this.#forgetAtMs = this.#context.clock.monotonicMs() + this.#windowMs
    this.#context.onAway(this)
  }

  #giveUp(): void {
    if (this.#isSessionClosed) return this.#forget()
    if (this.#loss !== null) this.#requireSession().clientOnClose(this.#loss)
  }

  #forget(): void {
    this.#forgetAtMs = Infinity
    this.#context.onForgotten(this)
  }

  #watchOver(): void {
    if (this.#isOver || !this.#isSessionClosed || this.#connection !== null) return
    this.#isOver = true
    this.#context.onOver()
  }

  /** Sends what was missed as fast as the client reads, then whatever the session wants to end with. */
  #catchUp(): void {
    const connection = this.#connection
    if (connection === null || !connection.isCatchingUp) return
    const { port } = connection
    while (port.bufferedBytes() < this.#context.limits.clientSoftBufferBytes) {
      const text = this.#log.next()
      if (text === null) {
        // What the relay wrote ahead is no sign of a slow client: counting begins once it was read.
        if (this.#ending !== null) this.#hangUp()
        else if (port.bufferedBytes() === 0) connection.isCatchingUp = false
        return
      }
      port.sendText(text)
    }
  }

  /** What is still to be said is given up: the socket, not the session's last words, which are kept for the window. */
  #hangUp(): void {
    const connection = this.#connection
    if (this.#ending === null || connection === null || !connection.isCatchingUp) return
    connection.isCatchingUp = false
    connection.port.close(this.#ending.closeCode, this.#ending.reason)
  }

  #heard(): void {
    this.#heardAtMs = this.#context.clock.monotonicMs()
    this.#context.tokens.confirm()
  }

  #acknowledged(): void {
    this.#ackedBytes = this.#audioBytes
    this.#ackedAtMs = this.#context.clock.monotonicMs()
  }

  get #position(): AudioPosition {
    const bytesPerSecond = this.#session?.audioBytesPerSecond ?? null
    const bytes = this.#audioBytes
    return { bytes, seconds: bytesPerSecond === null ? null : bytes / bytesPerSecond }
  }

  get #windowMs(): number {
    return this.#context.limits.resumeSeconds * 1000
  }

  #requireSession(): ResumableSession {
    if (this.#session === null) throw new Error('a resumable client needs a session')
    return this.#session
  }
}

/** Whether the client ended the session, and not the network the connection. 1001 is what a page or a proxy says. */
function isFarewell({ code, closeCode }: ClientEnd): boolean {
  if (code !== 'client_closed') return code !== 'tcp_fin' && code !== 'tcp_reset' && code !== 'ping_timeout'
  if (closeCode === NO_STATUS_CODE || closeCode === CLOSE_NORMAL) return true
  return closeCode >= PRIVATE_CODES.from && closeCode <= PRIVATE_CODES.to
}
