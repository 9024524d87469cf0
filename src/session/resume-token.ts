/**
 * Resume tokens: `<relay>.<process>.<session id>.<secret>`.
 *
 * The first three say where the session is and are no secret. The last has 192 random bits, is compared in constant time
 * and is good for one connection: each `Begin` and `Resumed` has another. A connection may break before its `Resumed`
 * arrives, and then the client has the token before only; so that one stays good until the client is heard on the
 * connection that it opened, which is after `Resumed`, as only that says where the audio goes on.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 24
const PATTERN = /^([A-Za-z0-9]{1,32})\.(\d{1,5})\.([0-9a-f-]{1,64})\.([A-Za-z0-9_-]{32})$/

/** Which process has the sessions that a token is for. */
export interface ResumeOrigin {
  /** The relay: the same in every one of its workers. Letters and digits, at most 32. */
  readonly relay: string
  /** The worker; 1 where there is one process. */
  readonly process: number
}

/** Of a relay that is one process. */
export function createResumeOrigin(): ResumeOrigin {
  return { relay: createRelayName(), process: 1 }
}

export function createRelayName(): string {
  return randomBytes(8).toString('hex')
}

export interface ParsedToken {
  readonly origin: ResumeOrigin
  readonly sessionId: string
  readonly secret: Buffer
}

/** `null` for what is no token of any relay. */
export function parseResumeToken(text: string): ParsedToken | null {
  const [, relay, process, sessionId, secret] = PATTERN.exec(text) ?? []
  if (relay === undefined || process === undefined || sessionId === undefined || secret === undefined)
    return null
  return { origin: { relay, process: Number(process) }, sessionId, secret: Buffer.from(secret, 'base64url') }
}

/** The tokens of one session. */
export class SessionTokens {
  readonly #prefix: string
  #current: Buffer | null = null
  #before: Buffer | null = null

  constructor({ relay, process }: ResumeOrigin, sessionId: string) {
    this.#prefix = `${relay}.${process}.${sessionId}.`
  }

  /** Whether the session may be resumed at all: somebody has a token. */
  get areIssued(): boolean {
    return this.#current !== null
  }

  /** The next token. `used` is the secret of the one that the client came with. */
  issue(used: Buffer | null): string {
    this.#before = used
    this.#current = randomBytes(SECRET_BYTES)
    return this.#prefix + this.#current.toString('base64url')
  }

  /** The client has the newest token. */
  confirm(): void {
    this.#before = null
  }

  matches(secret: Buffer): boolean {
    return isSame(this.#current, secret) || isSame(this.#before, secret)
  }
}

function isSame(kept: Buffer | null, secret: Buffer): boolean {
  return kept !== null && kept.length === secret.length && timingSafeEqual(kept, secret)
}
