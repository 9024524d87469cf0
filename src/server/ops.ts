/**
 * The operators' port: liveness, readiness and metrics, on `node:http` so that it answers when the client port cannot, and
 * apart from it so that no ingress exposes it.
 *
 * `/livez` is 200 while the process runs its event loop; it looks at nothing else, as a restart would end every session.
 * `/readyz` is 200 or 503 with the reasons. `/metrics` is the exposition of the registry. `/regions` tells how the regions
 * are; `POST /regions/NAME/drain` lets streams of one go elsewhere, `…/resume` takes that back; the answer says for
 * which relays.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Readiness {
  readonly ready: boolean
  /** Why not: error codes, short words. When ready: empty, or which part of it is not. */
  readonly reasons: readonly string[]
}

export interface Exposition {
  readonly contentType: string
  readonly body: string
}

interface OpsRegion {
  readonly region: string
  readonly breaker: string
  readonly draining: boolean
  readonly streams: number
  /** 0: not counted. */
  readonly streamLimit: number
  /** Of the last order: `relay`, `shared`, `pending`. */
  readonly scope: string
}

/** What is told and done about regions; matched by shape. */
export interface OpsRegions {
  report(): readonly OpsRegion[] | Promise<readonly OpsRegion[]>
  /** Drains it, or ends that. Resolves with who does so; `null`: there is no such region. */
  order(region: string, isDraining: boolean): Promise<string | null>
}

export interface OpsServerOptions {
  /** Address to bind. Default `0.0.0.0`. */
  readonly host?: string
  /** Default 9090; 0 takes any free port. */
  readonly port?: number
  readonly readiness: () => Readiness | Promise<Readiness>
  readonly scrape: () => Promise<Exposition>
  /** Absent: no path for them. */
  readonly regions?: OpsRegions
  /** A bug in `readiness` or `scrape`, or a connection that the system could not open. */
  readonly onFailure: (error: unknown) => void
}

export interface OpsServer {
  /** Rejects with the system's error when the port cannot be bound. */
  listen(): Promise<{ readonly host: string; readonly port: number }>
  /** Ends every connection; resolves when the port is free. */
  close(): Promise<void>
}

const HEADERS_TIMEOUT_MS = 5000
const REQUEST_TIMEOUT_MS = 10_000
const KEEP_ALIVE_TIMEOUT_MS = 5000
/** Covers an answer that does not come or is not read. */
const SOCKET_TIMEOUT_MS = 15_000
const CONNECTIONS_CHECK_MS = 1000
const MAX_HEADER_BYTES = 8 * 1024
/** A scraper or two, the probes, and a person. */
const MAX_CONNECTIONS = 64

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export function createOpsServer(options: OpsServerOptions): OpsServer {
  const { host = '0.0.0.0', port = 9090 } = options
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (request, response) => void respond(request, response, options),
  )
  server.setTimeout(SOCKET_TIMEOUT_MS)
  server.maxConnections = MAX_CONNECTIONS
  return {
    listen: async () => {
      const bound = await listen(server, host, port)
      // A connection that cannot be accepted is the system's trouble, and no reason to end.
      server.on('error', options.onFailure)
      return { host, port: bound }
    },
    close: async () => close(server),
  }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: OpsServerOptions,
): Promise<void> {
  // A body is not asked for; reading it away keeps the connection usable.
  request.resume()
  const { status, contentType, body, headers } = await answerOf(request, options)
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

async function answerOf(request: IncomingMessage, options: OpsServerOptions): Promise<Answer> {
  const path = request.url?.split('?', 1)[0] ?? ''
  const order = REGION_ORDER.exec(path)
  try {
    if (order !== null && options.regions !== undefined)
      return await answerOrder(request, order, options.regions)
    if (request.method !== 'GET' && request.method !== 'HEAD') return notAllowed('GET, HEAD')
    switch (path) {
      case '/livez':
        return json(200, { status: 'alive' })
      case '/readyz':
        return answerReadiness(await options.readiness())
      case '/metrics':
        return { status: 200, ...(await options.scrape()) }
      case '/regions':
        if (options.regions === undefined) return json(404, { error: 'not_found' })
        return answerRegions(await options.regions.report())
      default:
        return json(404, { error: 'not_found' })
    }
  } catch (error) {
    options.onFailure(error)
    return json(500, { error: 'internal' })
  }
}

function answerRegions(regions: readonly OpsRegion[]): Answer {
  return json(200, {
    regions: regions.map(({ streamLimit, ...region }) => ({
      ...region,
      stream_limit: streamLimit === 0 ? null : streamLimit,
    })),
  })
}

/** `POST /regions/us-east-1/drain` */
const REGION_ORDER = /^\/regions\/([a-z0-9-]{1,32})\/(drain|resume)$/

/** A page in the browser of somebody inside can post here as well; operators' tools send no `Origin`. */
async function answerOrder(
  { headers, method }: IncomingMessage,
  [, region = '', order]: RegExpExecArray,
  regions: OpsRegions,
): Promise<Answer> {
  if (method !== 'POST') return notAllowed('POST')
  if (headers.origin !== undefined) return json(403, { error: 'forbidden' })
  const isDraining = order === 'drain'
  const scope = await regions.order(region, isDraining)
  return scope === null
    ? json(404, { error: 'not_found' })
    : json(202, { region, draining: isDraining, scope })
}

function notAllowed(methods: string): Answer {
  return { ...json(405, { error: 'method_not_allowed' }), headers: { Allow: methods } }
}

function answerReadiness({ ready, reasons }: Readiness): Answer {
  return json(ready ? 200 : 503, { ready, reasons })
}

function json(status: number, value: Readonly<Record<string, unknown>>): Answer {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value)}\n` }
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

async function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    // The only error is that it does not listen, and then it is closed.
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
