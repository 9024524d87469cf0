/**
 * The bench of the conformance tests: a server, a neighbour that must not notice anything, and `conformance` to run a case
 * under its Autobahn number with a client of its own.
 */
import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import t from 'tap'
import type { ViolationCode } from '../../src/server/metrics.ts'
import type { RecordingSession, TestServer } from './client-server.ts'
import { sha256, startServer } from './client-server.ts'
import type { FrameFields } from './raw-socket.ts'
import { closePayload, encodeFrame, OPCODE, RawSocket } from './raw-socket.ts'

export interface Peer {
  readonly raw: RawSocket
  readonly session: RecordingSession
  /** How many violations had been counted when the peer came. */
  readonly violationsBefore: number
}

/** Cases run one after the other, on one server. Call `finish` after the last. */
export class ConformanceBench {
  readonly relay: TestServer
  readonly #neighbour: Peer
  #neighbourRounds = 0

  private constructor(relay: TestServer, neighbour: Peer) {
    this.relay = relay
    this.#neighbour = neighbour
  }

  static async start(): Promise<ConformanceBench> {
    const relay = await startServer(t)
    return new ConformanceBench(relay, await connectPeer(relay))
  }

  async connectPeer(): Promise<Peer> {
    return connectPeer(this.relay)
  }

  /** What a case leaves open is closed for it, and must close cleanly. */
  conformance(ids: string, behaviour: string, run: (test: Test, peer: Peer) => Promise<void>): void {
    t.test(`${ids}: ${behaviour}`, async test => {
      const peer = await this.connectPeer()
      await run(test, peer)
      if (peer.raw.end === null && peer.session.ends.length === 0) await closeCleanly(test, peer)
      test.equal(peer.session.ends.length, 1, 'the session ends exactly once')
      test.same(peer.session.failures, [], 'no handler failed')
      await this.checkNeighbour(test)
    })
  }

  /** The connection is dropped for `violation`: no Close frame, and one more in the metric. */
  async expectDrop(test: Test, peer: Peer, violation: ViolationCode): Promise<void> {
    test.same(await peer.session.whenClosed(), { code: violation, closeCode: 1006 })
    const { closeFrame } = await peer.raw.readEnd()
    test.equal(closeFrame, null, 'no Close frame on the wire')
    test.same(this.relay.metrics.violations.slice(peer.violationsBefore), [violation])
  }

  async checkNeighbour(test: Test): Promise<void> {
    const { raw, session } = this.#neighbour
    const audio = randomBytes(320)
    raw.send({ opcode: OPCODE.binary, payload: audio })
    this.#neighbourRounds += 1
    await session.whenMessages(this.#neighbourRounds)
    session.client.sendText(sha256(audio))
    const frames = await raw.readFrames(this.#neighbourRounds)
    test.same(session.audio.at(-1), audio, 'the neighbour is heard exactly')
    test.equal(frames.at(-1)?.payload.toString(), sha256(audio), 'the neighbour hears exactly')
  }

  finish(): void {
    t.test('nothing failed, and every session has ended', async test => {
      test.same(this.relay.failures, [])
      this.#neighbour.raw.destroy()
      await this.#neighbour.session.whenClosed()
      test.ok(this.relay.host.sessions.every(session => session.ends.length === 1))
    })
  }
}

/** A write into a connection that is being dropped may fail; the drop is what a case looks at. */
export async function writeUntilDropped(
  { raw }: Peer,
  frames: readonly FrameFields[],
  pieceBytes: number | null,
): Promise<void> {
  const bytes = concatFrames(frames)
  await raw.writeChopped(bytes, pieceBytes ?? bytes.length).catch((error: unknown) => error)
}

export function binary(payload: Uint8Array): FrameFields {
  return { opcode: OPCODE.binary, payload }
}

export function text(payload: Uint8Array | string): FrameFields {
  return { opcode: OPCODE.text, payload }
}

export function ping(payload: Uint8Array | string = ''): FrameFields {
  return { opcode: OPCODE.ping, payload }
}

export function close(code: number, reason: Uint8Array | string = ''): FrameFields {
  return { opcode: OPCODE.close, payload: closePayload(code, reason) }
}

/** One message in pieces. */
export function fragments(opcode: number, pieces: readonly (Uint8Array | string)[]): FrameFields[] {
  return pieces.map((payload, index) => ({
    opcode: index === 0 ? opcode : OPCODE.continuation,
    payload,
    fin: index === pieces.length - 1,
  }))
}

export function concatFrames(frames: readonly FrameFields[]): Buffer {
  return Buffer.concat(frames.map(encodeFrame))
}

async function connectPeer(relay: TestServer): Promise<Peer> {
  const index = relay.host.sessions.length
  const violationsBefore = relay.metrics.violations.length
  const raw = await RawSocket.open(relay.port)
  return { raw, session: await relay.host.session(index), violationsBefore }
}

async function closeCleanly(test: Test, { raw, session }: Peer): Promise<void> {
  raw.send(close(1000))
  test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1000 })
  const { closeFrame } = await raw.readEnd()
  test.same(closeFrame?.payload, closePayload(1000), 'the close code is echoed')
}
