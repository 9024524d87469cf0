/**
 * A TCP proxy in front of a Redis that keeps its answers back when a test says so: what was asked is done, and who asked
 * does not know yet.
 */
import { EventEmitter, once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { RedisServer } from './redis.ts'
import type { Closing } from './world.ts'

/** In the name of the key of each used token. */
const CLAIM = 'token:'

export class RedisGate extends EventEmitter {
  readonly #server: Server
  readonly #redis: URL
  readonly #sockets = new Set<Socket>()
  readonly #held: (() => void)[] = []
  #isHolding = false
  #isDeaf = false
  #hasHeardClaim = false

  private constructor(redis: URL) {
    super()
    this.#redis = redis
    this.#server = createServer(relay => this.#join(relay))
  }

  static async start(t: Closing, redis: RedisServer): Promise<RedisGate> {
    const gate = new RedisGate(new URL(redis.url))
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    t.teardown(() => {
      for (const socket of gate.#sockets) socket.destroy()
      gate.#server.close()
    })
    return gate
  }

  /** Of the Redis behind it, with the password. */
  get url(): string {
    const url = new URL(this.#redis)
    url.port = String((this.#server.address() as AddressInfo).port)
    return url.href
  }

  /** Resolves when an answer is held and a token was claimed. */
  async holdClaim(): Promise<void> {
    this.#isHolding = true
    this.#hasHeardClaim = false
    await once(this, 'claimed')
  }

  release(): void {
    this.#isHolding = false
    for (const pass of this.#held.splice(0)) pass()
  }

  /** Nothing comes to Redis any more. */
  deafen(): void {
    this.#isDeaf = true
  }

  #join(relay: Socket): void {
    const redis = connect(Number(this.#redis.port), this.#redis.hostname)
    relay.on('data', (bytes: Buffer) => {
      if (this.#isDeaf) return
      this.#hasHeardClaim ||= bytes.includes(CLAIM)
      redis.write(bytes)
    })
    redis.on('data', (bytes: Buffer) => {
      if (this.#isHolding) {
        this.#held.push(() => relay.write(bytes))
        if (this.#hasHeardClaim) this.emit('claimed')
      } else relay.write(bytes)
    })
    relay.on('end', () => redis.end())
    redis.on('end', () => relay.end())
    for (const [socket, other] of [
      [relay, redis],
      [redis, relay],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => this.#sockets.delete(socket))
    }
  }
}
