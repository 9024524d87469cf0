/**
 * Limits of the process and of each address: handshakes per second, sessions at a time.
 *
 * Addresses come from the network, so their table is bounded: the one not seen for longest is forgotten first, unless
 * it has sessions. An IPv6 client owns a /64, so that counts as one address (RFC 6177 §2).
 */
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import { RateLimit } from './rate-limit.ts'

export interface AddressLimitOptions {
  /** 0: not limited; so for all. */
  readonly handshakesPerSecond: number
  readonly addressHandshakesPerSecond: number
  readonly addressSessions: number
}

const MAX_ADDRESSES = 50_000
/** What has sessions is passed over; that many, then the table grows by one. Sessions are bounded elsewhere. */
const MAX_PASSED_OVER = 16

interface AddressEntry {
  readonly rate: RateLimit | null
  sessions: number
}

export class AddressLimits {
  readonly #options: AddressLimitOptions
  readonly #clock: Clock
  readonly #process: RateLimit | null
  /** In the order in which they were last seen. */
  readonly #addresses = new Map<string, AddressEntry>()
  readonly #maxAddresses: number

  constructor(options: AddressLimitOptions, clock: Clock, maxAddresses = MAX_ADDRESSES) {
    this.#options = options
    this.#clock = clock
    this.#maxAddresses = maxAddresses
    const { handshakesPerSecond } = options
    this.#process = handshakesPerSecond === 0 ? null : new RateLimit(handshakesPerSecond, clock.monotonicMs())
  }

  get size(): number {
    return this.#addresses.size
  }

  /** Counts one handshake. The address first: one that floods must not use up what is everybody's. @throws RelayError */
  knock(address: string): void {
    const nowMs = this.#clock.monotonicMs()
    const { addressHandshakesPerSecond } = this.#options
    if (addressHandshakesPerSecond > 0) refuseFor(this.#entryOf(address).rate?.take(nowMs) ?? 0, 'address')
    refuseFor(this.#process?.take(nowMs) ?? 0, 'relay')
  }

  /** Counts one session until the function is called. @throws RelayError */
  enter(address: string): () => void {
    const { addressSessions } = this.#options
    if (addressSessions === 0) return () => undefined
    const entry = this.#entryOf(address)
    if (entry.sessions >= addressSessions) {
      throw new RelayError('session_limit', {
        message: `An address may have ${addressSessions} sessions at a time.`,
      })
    }
    entry.sessions += 1
    return () => {
      entry.sessions -= 1
    }
  }

  #entryOf(address: string): AddressEntry {
    const key = networkOf(address)
    const known = this.#addresses.get(key)
    if (known === undefined) this.#makeRoom()
    else this.#addresses.delete(key)
    const entry = known ?? this.#newEntry()
    this.#addresses.set(key, entry)
    return entry
  }

  #newEntry(): AddressEntry {
    const perSecond = this.#options.addressHandshakesPerSecond
    return { rate: perSecond === 0 ? null : new RateLimit(perSecond, this.#clock.monotonicMs()), sessions: 0 }
  }

  #makeRoom(): void {
    let passedOver = 0
    for (const [key, entry] of this.#addresses) {
      if (this.#addresses.size < this.#maxAddresses) return
      this.#addresses.delete(key)
      if (entry.sessions === 0) continue
      // To the end, so that the next time others are looked at.
      this.#addresses.set(key, entry)
      passedOver += 1
      if (passedOver >= MAX_PASSED_OVER) return
    }
  }
}

/** The address itself, or the /64 of an IPv6 address in eight groups. */
export function networkOf(address: string): string {
  return address.includes(':') ? address.split(':', 4).join(':') : address
}

function refuseFor(waitMs: number, whose: string): void {
  if (waitMs === 0) return
  throw new RelayError('rate_limited', {
    message: `Too many handshakes per second of this ${whose}.`,
    retryAfterMs: Math.max(1000, waitMs),
  })
}
