/**
 * A TCP proxy that is a bad network: slow, uneven, narrow, chopped, stuck, cut. What it does can be changed at any time,
 * for one connection or for all of them, and random numbers come from a seed.
 *
 *      client ──socket──▶ Pipe ──socket──▶ target
 *             ◀──────── Pipe ◀────────
 *
 * It changes when bytes arrive, and whether they do; never their order or what they are. What it holds is bounded: a
 * source that is ahead by `MAX_HELD_BYTES` is not read from.
 */
import { EventEmitter, once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { createRandom } from './random.ts'

/** Of every connection in both directions, until changed. */
export interface Weather {
  /** One way. */
  readonly latencyMs: number
  /** At most so much more or less, drawn for each piece; pieces do not overtake each other. */
  readonly jitterMs: number
  /** Infinity: as fast as it goes. */
  readonly bytesPerSecond: number
  /** Pieces are cut to a random length from 1 to this; Infinity: as they come. */
  readonly sliceBytes: number
}

const FAIR: Weather = Object.freeze({
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Infinity,
  sliceBytes: Infinity,
})

export interface FaultProxyOptions {
  readonly targetPort: number
  readonly targetHost?: string
  readonly seed?: number
  readonly weather?: Partial<Weather>
}

/** Held in one direction of one connection before its source is not read from any more. */
const MAX_HELD_BYTES = 262_144

interface HeldPiece {
  readonly bytes: Buffer
  readonly dueMs: number
}

/** One direction. */
class Pipe {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #random: () => number
  readonly #held: HeldPiece[] = []
  #heldBytes = 0
  #weather: Weather
  #mode: 'open' | 'stalled' | 'dropping' = 'open'
  #lastDueMs = 0
  #timer: NodeJS.Timeout | null = null
  #waitsForSink = false
  #sourceEnded = false
  /** Passed on so far. */
  passedBytes = 0

  constructor(source: Socket, sink: Socket, weather: Weather, random: () => number) {
    this.#source = source
    this.#sink = sink
    this.#weather = weather
    this.#random = random
    source.on('data', (bytes: Buffer) => this.#take(bytes))
    source.on('end', () => {
      this.#sourceEnded = true
      this.#pump()
    })
    sink.on('drain', () => {
      this.#waitsForSink = false
      this.#pump()
    })
  }

  setWeather(weather: Weather): void {
    this.#weather = weather
  }

  /** Nothing is read or passed on any more; the kernel's buffers fill up, and then the sender's. */
  stall(): void {
    this.#mode = 'stalled'
    this.#source.pause()
  }

  resume(): void {
    if (this.#mode !== 'stalled') return
    this.#mode = 'open'
    this.#pump()
  }

  /** Everything is read and thrown away from here on, the end too. */
  drop(): void {
    this.#mode = 'dropping'
    this.#held.length = 0
    this.#heldBytes = 0
    this.#source.resume()
  }

  release(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#held.length = 0
    this.#heldBytes = 0
  }

  #take(bytes: Buffer): void {
    if (this.#mode === 'dropping') return
    const { bytesPerSecond, jitterMs, latencyMs, sliceBytes } = this.#weather
    for (let offset = 0; offset < bytes.length;) {
      const length = sliceBytes === Infinity ? bytes.length : 1 + Math.floor(this.#random() * sliceBytes)
      const piece = bytes.subarray(offset, offset + length)
      offset += piece.length
      const jitter = jitterMs === 0 ? 0 : (this.#random() * 2 - 1) * jitterMs
      const arrivalMs = performance.now() + Math.max(0, latencyMs + jitter)
      const dueMs = Math.max(arrivalMs, this.#lastDueMs) + (piece.length / bytesPerSecond) * 1000
      this.#lastDueMs = dueMs
      this.#held.push({ bytes: piece, dueMs })
      this.#heldBytes += piece.length
    }
    if (this.#heldBytes >= MAX_HELD_BYTES) this.#source.pause()
    this.#pump()
  }

  #pump(): void {
    if (this.#mode !== 'open' || this.#waitsForSink || this.#timer !== null || this.#sink.destroyed) return
    for (let piece = this.#held[0]; piece !== undefined; piece = this.#held[0]) {
      const waitMs = piece.dueMs - performance.now()
      if (waitMs > 0) return this.#pumpAfter(waitMs)
      this.#held.shift()
      this.#heldBytes -= piece.bytes.length
      this.passedBytes += piece.bytes.length
      if (!this.#sink.write(piece.bytes)) {
        this.#waitsForSink = true
        return
      }
      // A turn of the loop between two pieces, or the kernel would join them again.
      if (this.#weather.sliceBytes !== Infinity && this.#held.length > 0) return this.#pumpAfter(0)
    }
    if (this.#sourceEnded) this.#sink.end()
    else this.#source.resume()
  }

  #pumpAfter(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#pump()
    }, Math.ceil(waitMs))
  }
}

/** One client of the proxy and its connection to the target. */
export class ProxiedConnection {
  /** Counted from 1, in the order of arrival. */
  readonly number: number
  readonly #client: Socket
  readonly #target: Socket
  readonly #out: Pipe
  readonly #back: Pipe
  #weather: Weather

  constructor(number: number, client: Socket, target: Socket, weather: Weather, random: () => number) {
    this.number = number
    this.#client = client
    this.#target = target
    this.#weather = weather
    this.#out = new Pipe(client, target, weather, random)
    this.#back = new Pipe(target, client, weather, random)
  }

  /** Bytes of the client that the target was given. */
  get sentBytes(): number {
    return this.#out.passedBytes
  }

  /** Bytes of the target that the client was given. */
  get receivedBytes(): number {
    return this.#back.passedBytes
  }

  setWeather(changes: Partial<Weather>): void {
    this.#weather = { ...this.#weather, ...changes }
    this.#out.setWeather(this.#weather)
    this.#back.setWeather(this.#weather)
  }

  /** Stops reading and forwarding, both ways: a full window, not a lost network. */
  stall(): void {
    this.#out.stall()
    this.#back.stall()
  }

  /** Ends a stall; nothing is lost by it. */
  resume(): void {
    this.#out.resume()
    this.#back.resume()
  }

  /** Whatever either side says from here on is acknowledged and lost, its end too; both sockets stay open. */
  halfOpen(): void {
    this.#out.drop()
    this.#back.drop()
  }

  /** TCP RST to both sides. */
  reset(): void {
    this.#client.resetAndDestroy()
    this.#target.resetAndDestroy()
  }

  /** TCP FIN to both sides, in the middle of whatever they say. */
  fin(): void {
    this.#out.drop()
    this.#back.drop()
    this.#client.end()
    this.#target.end()
  }

  destroy(): void {
    this.#out.release()
    this.#back.release()
    this.#client.destroy()
    this.#target.destroy()
  }
}

export class FaultProxy {
  /** `connection`: a client has arrived. `close`: it is gone. */
  readonly events = new EventEmitter<{ connection: [ProxiedConnection]; close: [ProxiedConnection] }>()
  readonly connections = new Set<ProxiedConnection>()
  readonly #options: FaultProxyOptions
  readonly #random: () => number
  readonly #server: net.Server
  #weather: Weather
  #count = 0

  constructor(options: FaultProxyOptions) {
    this.#options = options
    this.#random = createRandom(options.seed ?? 1)
    this.#weather = { ...FAIR, ...options.weather }
    this.#server = net.createServer({ allowHalfOpen: true }, client => this.#serverOnConnection(client))
  }

  /** Resolves with the port on loopback. */
  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** For every connection, and those to come. */
  setWeather(changes: Partial<Weather>): void {
    this.#weather = { ...this.#weather, ...changes }
    for (const connection of this.connections) connection.setWeather(changes)
  }

  /** Cuts everything and frees the port. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const connection of this.connections) connection.destroy()
    await closed
  }

  #serverOnConnection(client: Socket): void {
    const { targetHost: host = '127.0.0.1', targetPort: port } = this.#options
    const target = net.connect({ host, port, allowHalfOpen: true })
    const connection = new ProxiedConnection(++this.#count, client, target, this.#weather, this.#random)
    this.connections.add(connection)
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      socket.setNoDelay(true)
      // What one side does to its connection, the other one sees too.
      socket.on('error', () => other.resetAndDestroy())
      socket.on('close', () => this.#socketOnClose(connection, client, target))
    }
    this.events.emit('connection', connection)
  }

  #socketOnClose(connection: ProxiedConnection, client: Socket, target: Socket): void {
    if (!client.destroyed || !target.destroyed || !this.connections.delete(connection)) return
    connection.destroy()
    this.events.emit('close', connection)
  }
}

/** A proxy that is closed with the test. */
export async function startFaultProxy(
  t: { teardown(action: () => unknown): void },
  options: FaultProxyOptions,
): Promise<{ readonly proxy: FaultProxy; readonly port: number }> {
  const proxy = new FaultProxy(options)
  const port = await proxy.start()
  t.teardown(() => proxy.close())
  return { proxy, port }
}
