/**
 * A receiver of traces (OTLP over HTTP, protobuf) and what it got: spans, decoded from the bytes by the field numbers of
 * opentelemetry/proto/trace/v1/trace.proto.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Closing } from './world.ts'

export type AttributeValue = string | number | boolean | null

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty: it has none. */
  readonly parentSpanId: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly startNs: bigint
  readonly endNs: bigint
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** 0 unset, 2 error. */
  readonly status: number
  readonly resource: Readonly<Record<string, AttributeValue>>
}

export interface TraceReceiver {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** As they came. */
  readonly bodies: readonly Buffer[]
  readonly paths: readonly string[]
}

/** `status`: what it answers; `null`: nothing, ever. */
export async function startTraceReceiver(t: Closing, status: number | null = 200): Promise<TraceReceiver> {
  const spans: ReceivedSpan[] = []
  const bodies: Buffer[] = []
  const paths: string[] = []
  const server = createServer((request, response) => {
    void buffer(request).then(body => {
      bodies.push(body)
      paths.push(`${request.method} ${request.url} ${request.headers['content-type']}`)
      if (status === 200) spans.push(...decodeRequest(body))
      if (status !== null) response.writeHead(status).end()
      return undefined
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, bodies, paths }
}

type FieldValue = bigint | Buffer

/** By field number; wire types 0 (varint), 1 (64 bits), 2 (length), 5 (32 bits). */
function decodeFields(bytes: Buffer): ReadonlyMap<number, readonly FieldValue[]> {
  const fields = new Map<number, FieldValue[]>()
  let offset = 0
  const readVarint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(bytes.readUInt8(offset))
      offset += 1
      value |= (byte & 0x7fn) << shift
      if ((byte & 0x80n) === 0n) return value
    }
  }
  const readSlice = (length: number): Buffer => {
    const slice = bytes.subarray(offset, offset + length)
    if (slice.length !== length) throw new Error('cut off')
    offset += length
    return slice
  }
  const readValue = (wireType: number): FieldValue => {
    if (wireType === 0) return readVarint()
    if (wireType === 1) return readSlice(8)
    if (wireType === 2) return readSlice(Number(readVarint()))
    if (wireType === 5) return readSlice(4)
    throw new Error(`wire type ${wireType}`)
  }
  while (offset < bytes.length) {
    const tag = Number(readVarint())
    const value = readValue(tag & 7)
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value])
  }
  return fields
}

function bytesOf(fields: ReadonlyMap<number, readonly FieldValue[]>, number: number): readonly Buffer[] {
  return (fields.get(number) ?? []).filter(value => Buffer.isBuffer(value))
}

function decodeRequest(body: Buffer): readonly ReceivedSpan[] {
  return bytesOf(decodeFields(body), 1).flatMap(resourceSpans => {
    const fields = decodeFields(resourceSpans)
    const [resource = Buffer.alloc(0)] = bytesOf(fields, 1)
    const about = decodeAttributes(bytesOf(decodeFields(resource), 1))
    return bytesOf(fields, 2).flatMap(scope =>
      bytesOf(decodeFields(scope), 2).map(span => decodeSpan(span, about)),
    )
  })
}

function decodeSpan(bytes: Buffer, resource: ReceivedSpan['resource']): ReceivedSpan {
  const fields = decodeFields(bytes)
  const first = (number: number): Buffer => bytesOf(fields, number)[0] ?? Buffer.alloc(0)
  const [kind = 0n] = fields.get(6) ?? []
  const [status = 0n] = decodeFields(first(15)).get(3) ?? []
  return {
    traceId: first(1).toString('hex'),
    spanId: first(2).toString('hex'),
    parentSpanId: first(4).toString('hex'),
    name: first(5).toString(),
    kind: Number(kind),
    startNs: first(7).readBigUInt64LE(),
    endNs: first(8).readBigUInt64LE(),
    attributes: decodeAttributes(bytesOf(fields, 9)),
    status: Number(status),
    resource,
  }
}

function decodeAttributes(pairs: readonly Buffer[]): Readonly<Record<string, AttributeValue>> {
  return Object.fromEntries(
    pairs.map(pair => {
      const fields = decodeFields(pair)
      const [name = '', value = Buffer.alloc(0)] = [bytesOf(fields, 1)[0]?.toString(), bytesOf(fields, 2)[0]]
      return [name, decodeValue(value)]
    }),
  )
}

function decodeValue(bytes: Buffer): AttributeValue {
  for (const [number, [value]] of decodeFields(bytes)) {
    if (number === 1 && Buffer.isBuffer(value)) return value.toString()
    if (number === 2) return value === 1n
    if (number === 3) return Number(value)
    if (number === 4 && Buffer.isBuffer(value)) return value.readDoubleLE()
  }
  return null
}
