/**
 * A WebSocket client made of bytes (RFC 6455), for what a proper client refuses to send: any header, opcode, reserved bit,
 * mask, length form, fragmentation or cut. It answers nothing by itself and never sends what it was not told to.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once, EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export interface FrameFields {
  readonly opcode: number
  readonly payload?: Uint8Array | string
  readonly fin?: boolean
  /** Bits RSV1 (4), RSV2 (2), RSV3 (1). */
  readonly rsv?: number
  /** Default: a random mask. `null` leaves mask and mask bit out. */
  readonly mask?: Uint8Array | null
  /** Bytes of the length field: 0 (in the second byte), 2 or 8. Default: the shortest that holds it. */
  readonly lengthBytes?: 0 | 2 | 8
  /** What the length field claims. Default: the truth. */
  readonly claimedLength?: number
}

export interface ReadFrame {
  readonly fin: boolean
  readonly rsv: number
  readonly opcode: number
  readonly isMasked: boolean
  readonly payload: Buffer
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** How the connection ended: the peer's FIN, a reset, and the Close frame before it if there was one. */
export interface RawEnd {
  readonly how: 'fin' | 'reset'
  readonly closeFrame: ReadFrame | null
}

export interface HandshakeOptions {
  readonly path?: string
  readonly method?: string
  readonly httpVersion?: string
  /** Replaces the lines of the handshake by name (lower case); `null` takes one out. */
  readonly headers?: Readonly<Record<string, string | null>>
}

/** One frame as bytes. */
export function encodeFrame(fields: FrameFields): Buffer {
  const payload = Buffer.from(fields.payload ?? '')
  const length = fields.claimedLength ?? payload.length
  const lengthBytes = fields.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8)
  const mask = fields.mask === undefined ? randomBytes(4) : fields.mask
  const header = Buffer.alloc(2 + lengthBytes)
  header[0] = ((fields.fin ?? true) ? 0x80 : 0) | ((fields.rsv ?? 0) << 4) | fields.opcode
  header[1] = (mask === null ? 0 : 0x80) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) header.writeUInt16BE(length, 2)
  if (lengthBytes === 8) header.writeBigUInt64BE(BigInt(length), 2)
  if (mask === null) return Buffer.concat([header, payload])
  return Buffer.concat([header, mask, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))])
}

/** Payload of a Close frame. */
export function closePayload(code: number, reason: string | Uint8Array = ''): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason)])
}

export class RawSocket extends EventEmitter {
  readonly tcp: Socket
  readonly frames: ReadFrame[] = []
  end: RawEnd | null = null
  #received = Buffer.alloc(0)
  #isFrames = false
  #error: NodeJS.ErrnoException | null = null

  private constructor(tcp: Socket) {
    super()
    this.tcp = tcp
    tcp.on('data', chunk => this.#tcpOnData(chunk))
    tcp.on('error', error => (this.#error = error))
    tcp.on('close', () => this.#tcpOnClose())
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawSocket> {
    const tcp = connect({ port, host, noDelay: true })
    const raw = new RawSocket(tcp)
    await once(tcp, 'connect')
    return raw
  }

  /** Connects and upgrades; fails unless the answer is 101. */
  static async open(port: number, options: HandshakeOptions = {}): Promise<RawSocket> {
    const raw = await RawSocket.connect(port)
    const answer = await raw.handshake(options)
    if (answer.status !== 101) throw new Error(`expected 101, got ${answer.status}: ${answer.body}`)
    return raw
  }

  /** Sends a handshake, whole or bent, and reads the answer. After 101 the connection is read as frames. */
  async handshake(options: HandshakeOptions = {}): Promise<HttpAnswer> {
    const key = randomBytes(16).toString('base64')
    this.write(encodeHandshake(key, options))
    const answer = await this.readAnswer(options.method === 'HEAD')
    if (answer.status === 101) {
      const expected = createHash('sha1').update(`${key}${ACCEPT_GUID}`).digest('base64')
      const accept = answer.headers.get('sec-websocket-accept')
      if (accept !== expected) throw new Error(`Sec-WebSocket-Accept is ${accept}, must be ${expected}`)
    }
    return answer
  }

  /** Reads one HTTP answer. */
  async readAnswer(isHead = false): Promise<HttpAnswer> {
    let headEnd = this.#received.indexOf('\r\n\r\n')
    while (headEnd < 0) {
      await this.#more()
      headEnd = this.#received.indexOf('\r\n\r\n')
    }
    const [statusLine = '', ...lines] = this.#received.toString('latin1', 0, headEnd).split('\r\n')
    const headers = new Map(
      lines.map(line => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    )
    const status = Number(statusLine.split(' ')[1])
    const bodyBytes = isHead || status === 101 ? 0 : Number(headers.get('content-length') ?? 0)
    while (this.#received.length < headEnd + 4 + bodyBytes) await this.#more()
    const body = this.#received.toString('utf8', headEnd + 4, headEnd + 4 + bodyBytes)
    this.#received = this.#received.subarray(headEnd + 4 + bodyBytes)
    if (status === 101) {
      this.#isFrames = true
      this.#parseFrames()
    }
    return { status, headers, body }
  }

  write(bytes: Uint8Array | string): void {
    this.tcp.write(bytes)
  }

  send(...frames: readonly FrameFields[]): void {
    this.write(Buffer.concat(frames.map(encodeFrame)))
  }

  /** Writes `bytes` in pieces, each after the kernel took the one before. */
  async writeChopped(bytes: Uint8Array, pieceBytes: number): Promise<void> {
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      const piece = bytes.subarray(start, start + pieceBytes)
      await new Promise<void>((resolve, reject) =>
        this.tcp.write(piece, error => (error ? reject(error) : setImmediate(resolve))),
      )
    }
  }

  /** Resolves with the frames received once there are `count`. */
  async readFrames(count: number): Promise<readonly ReadFrame[]> {
    while (this.frames.length < count) {
      if (this.end !== null) throw new Error(`ended (${this.end.how}) after ${this.frames.length} frames`)
      await once(this, 'progress')
    }
    return this.frames.slice(0, count)
  }

  /** Resolves when the connection is over. */
  async readEnd(): Promise<RawEnd> {
    while (this.end === null) await once(this, 'progress')
    return this.end
  }

  /** Ends with a reset instead of a FIN. */
  reset(): void {
    this.tcp.resetAndDestroy()
  }

  destroy(): void {
    this.tcp.destroy()
  }

  async #more(): Promise<void> {
    if (this.end !== null) throw new Error(`connection ended: ${this.end.how}`)
    await once(this, 'progress')
  }

  #tcpOnData(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    if (this.#isFrames) this.#parseFrames()
    this.emit('progress')
  }

  #tcpOnClose(): void {
    this.end = {
      how: this.#error === null ? 'fin' : 'reset',
      closeFrame: this.frames.find(({ opcode }) => opcode === OPCODE.close) ?? null,
    }
    this.emit('progress')
  }

  #parseFrames(): void {
    for (let frame = decodeFrame(this.#received); frame !== null; frame = decodeFrame(this.#received)) {
      this.#received = this.#received.subarray(frame.totalBytes)
      this.frames.push(frame)
    }
  }
}

export function encodeHandshake(key: string, options: HandshakeOptions): string {
  const lines: Record<string, string | null> = {
    host: 'relay.test',
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': key,
    'sec-websocket-version': '13',
    ...options.headers,
  }
  const head = `${options.method ?? 'GET'} ${options.path ?? '/v1/stream'} HTTP/${options.httpVersion ?? '1.1'}\r\n`
  const headers = Object.entries(lines).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}\r\n`],
  )
  return `${head}${headers.join('')}\r\n`
}

function decodeFrame(bytes: Buffer): (ReadFrame & { totalBytes: number }) | null {
  const [first, second] = bytes
  if (first === undefined || second === undefined) return null
  const short = second & 0x7f
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
  const isMasked = (second & 0x80) !== 0
  const headerBytes = 2 + lengthBytes + (isMasked ? 4 : 0)
  if (bytes.length < headerBytes) return null
  const length =
    lengthBytes === 0 ? short : lengthBytes === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  if (bytes.length < headerBytes + length) return null
  return {
    fin: (first & 0x80) !== 0,
    rsv: (first >> 4) & 7,
    opcode: first & 0x0f,
    isMasked,
    payload: Buffer.from(bytes.subarray(headerBytes, headerBytes + length)),
    totalBytes: headerBytes + length,
  }
}
