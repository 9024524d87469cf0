/**
 * The wiring: options in, a running relay out. The one place where the two sides, the metrics and the log meet.
 *
 * `start` opens both ports and answers as soon as clients can connect; credentials that are missing or late make it
 * not ready, never dead. `drain` lets sessions end in their own time, then in ours. `close` ends everything now.
 */
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import type { RelayOptions } from './config/options.ts'
import { resolveOptions } from './config/resolve.ts'
import { EXPOSURE_RULE } from './config/rules.ts'
import { streamDefaults } from './config/stream-defaults.ts'
import type { Logger } from './log.ts'
import { createLogger } from './log.ts'
import type { RelayMetrics } from './metrics/registry.ts'
import { createMetrics } from './metrics/registry.ts'
import type { MetricsSnapshot } from './metrics/snapshot.ts'
import type { RelayAccess } from './relay/access.ts'
import { createAccess } from './relay/access.ts'
import { createAdmission } from './relay/admission.ts'
import { drainSessions } from './relay/drain.ts'
import { badOption } from './relay/endpoint.ts'
import type { RelayNetwork } from './relay/network.ts'
import { asConfigProblem, createNetwork } from './relay/network.ts'
import type { RelayRecords } from './relay/records.ts'
import { createRecords } from './relay/records.ts'
import type { RelayUpstream } from './relay/regions.ts'
import { createUpstream, findRegions, refusalOfUpstream } from './relay/regions.ts'
import type { RelayAddresses } from './relay/report.ts'
import { addressesOf, logStart, nameOfBuild } from './relay/report.ts'
import type { SharedState } from './relay/shared-state.ts'
import { createSharedState } from './relay/shared-state.ts'
import { loadTracing, TRACE_FLUSH_MS } from './relay/traces.ts'
import type { ClientServer } from './server/app.ts'
import { createClientServer } from './server/app.ts'
import { connectionCapacity, openFilesRule } from './server/file-limit.ts'
import { VIOLATION_CODES } from './server/metrics.ts'
import type { OpsServer, Readiness } from './server/ops.ts'
import { createOpsServer } from './server/ops.ts'
import type { Authorize } from './server/options.ts'
import type { AdmissionGate } from './session/admission-gate.ts'
import type { RegionControl } from './session/region-labels.ts'
import { SessionRegistry } from './session/registry.ts'
import { createResumeOrigin, type ResumeOrigin } from './session/resume-token.ts'
import type { Tracing } from './tracing/tracing.ts'
import type { AwsCredentials } from './upstream/aws-credentials.ts'
import { CONNECT_REASONS } from './upstream/connect-failure.ts'
import type { Region } from './upstream/regions.ts'
import { VERSION } from './version.ts'

export type { RelayAddresses } from './relay/report.ts'

/** Everything that can be replaced. Nothing is needed: the defaults are the real world. */
export interface RelayDependencies {
  /** Fixed keys instead of the AWS credential chain: development, an emulator. */
  readonly credentials?: AwsCredentials
  readonly logger?: Logger
  readonly clock?: Clock
  /** Decides for each client whether it may come in; throws a `RelayError` to refuse. */
  readonly authorize?: Authorize
  /** Where `AWS_REGION` and the like are read from; nothing unless given. Those of OpenTelemetry are the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Certificates to trust for the upstream instead of the system's, PEM. */
  readonly upstreamCa?: string
  /** In [0, 1). */
  readonly random?: () => number
  /** The client port is shared with other processes; see `sharePort` in `server/options.ts`. Default false. */
  readonly sharePort?: boolean
  /** So many processes, this one among them, divide this relay's part of each quota. Default 1. */
  readonly processes?: number
  /** Names the process in resume tokens, among those that share the port. Default: a name of its own. */
  readonly resumeOrigin?: ResumeOrigin
  /** Takes the place of the operations port. Default: it is opened. */
  readonly createOperations?: (sources: OperationsSources) => OpsServer
}

/** What an operations port tells. */
export interface OperationsSources {
  readonly readiness: () => Readiness
  readonly takeSnapshot: () => Promise<MetricsSnapshot>
  readonly regions: RegionControl
}

export interface Relay {
  /** Opens both ports. Once, and not after `close`. @throws ConfigError, ListenError, UwsLoadError */
  start(): Promise<RelayAddresses>
  /**
   * Lets nobody in, waits for the sessions, ends the rest with their finals delivered, then closes. Bounded by
   * `drainTimeoutMs`, `drainSpreadMs`, `flushTimeoutMs` and `clientCloseTimeoutMs`.
   */
  drain(): Promise<void>
  /** Ends every session with 1012 and closes both ports. */
  close(): Promise<void>
  readonly activeSessions: number
  readonly isDraining: boolean
  /** Fulfilled once the relay is closed, whoever closed it. */
  readonly closed: Promise<void>
}

/** How long after the announcement of a drain the last client should be back. */
const RECONNECT_SPREAD_MS = 2_000

/** Checks the options and builds a relay that is not started. @throws ConfigError with every problem. */
export function createRelay(
  options: Partial<RelayOptions> = {},
  dependencies: RelayDependencies = {},
): Relay {
  const waived = dependencies.authorize === undefined ? [] : [EXPOSURE_RULE]
  const { options: resolved } = resolveOptions({ overrides: options, waived })
  const { workers } = resolved
  if (workers !== 1) throw badOption('workers', String(workers), 'must be 1 here: `serve` starts workers')
  return new RunningRelay(resolved, dependencies)
}

class RunningRelay implements Relay {
  readonly closed: Promise<void>
  readonly #options: RelayOptions
  readonly #deps: RelayDependencies
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #gate: AdmissionGate
  readonly #network: RelayNetwork
  readonly #records: RelayRecords
  #onClosed: () => void = () => {}
  #registry: SessionRegistry | null = null
  #server: ClientServer | null = null
  #ops: OpsServer | null = null
  #upstream: RelayUpstream | null = null
  #shared: SharedState | null = null
  #access: RelayAccess | null = null
  #tracing: Tracing | null = null
  #starting: Promise<RelayAddresses> | null = null
  #draining: Promise<void> | null = null
  #isClosed = false

  constructor(options: RelayOptions, dependencies: RelayDependencies) {
    this.#options = options
    this.#deps = dependencies
    this.#clock = dependencies.clock ?? systemClock
    this.#logger = dependencies.logger ?? createLogger({ level: options.logLevel, version: VERSION })
    this.#gate = createAdmission(options, this.#clock, this.#logger)
    this.#network = createNetwork(options, this.#clock, this.#logger)
    this.#records = createRecords(options, this.#clock, this.#logger)
    this.closed = new Promise(resolve => {
      this.#onClosed = resolve
    })
  }

  get activeSessions(): number {
    return this.#registry?.activeCount ?? 0
  }

  get isDraining(): boolean {
    return this.#registry?.isDraining ?? false
  }

  async start(): Promise<RelayAddresses> {
    if (this.#starting !== null || this.#isClosed) {
      throw new Error('A relay is started once, and not after it was closed: create another one.')
    }
    this.#starting = this.#start()
    return this.#starting
  }

  async #start(): Promise<RelayAddresses> {
    checkOpenFiles(this.#options.maxSessions)
    const regions = await findRegions(this.#options, this.#deps.env ?? {})
    const names = regions.map(({ name }) => name)
    const metrics = this.#createMetrics(names)
    const shared = createSharedState(this.#options, { clock: this.#clock, logger: this.#logger, metrics })
    const upstream = this.#createUpstream(regions, metrics, shared)
    this.#tracing = await this.#loadTracing()
    const registry = this.#createRegistry(names, upstream, metrics)
    const access = this.#createAccess(names, shared)
    const server = this.#createServer(names, registry, metrics, access)
    const ops = this.#createOperations(metrics, upstream.drains)
    this.#shared = shared
    this.#upstream = upstream
    this.#registry = registry
    this.#server = server
    this.#ops = ops
    this.#access = access
    try {
      this.#records.start()
      await access.start()
      await shared?.start()
      await upstream.drains.start()
      upstream.credentials.start()
      const client = await asConfigProblem(() => server.listen())
      const operations = await ops.listen()
      metrics.setBuild(nameOfBuild(server))
      const addresses = addressesOf(client, operations, this.#options)
      logStart(this.#logger, addresses, regions, server)
      return addresses
    } catch (error) {
      this.#isClosed = true
      await this.#release()
      throw error
    }
  }

  async drain(): Promise<void> {
    this.#draining ??= this.#drain()
    await this.#draining
  }

  async close(): Promise<void> {
    if (this.#isClosed) return this.closed
    this.#isClosed = true
    // What is being opened can be closed once it is open. Why a start failed is told to who called it.
    await this.#starting?.catch(() => undefined)
    await this.#release()
  }

  async #release(): Promise<void> {
    this.#registry?.abortAll()
    this.#registry?.close()
    this.#gate.close()
    this.#server?.close()
    this.#upstream?.close()
    await this.#shared?.close()
    this.#access?.close()
    await this.#records.close()
    await Promise.all([this.#ops?.close(), this.#tracing?.close(TRACE_FLUSH_MS)])
    this.#onClosed()
  }

  async #drain(): Promise<void> {
    const registry = this.#registry
    if (registry !== null && !this.#isClosed) {
      const parts = { clock: this.#clock, logger: this.#logger, registry, server: this.#server }
      await drainSessions(this.#options, parts)
    }
    await this.close()
    this.#logger.info('relay stopped')
  }

  #createUpstream(
    regions: readonly Region[],
    metrics: RelayMetrics,
    shared: SharedState | null,
  ): RelayUpstream {
    const { credentials, processes = 1, random = Math.random, upstreamCa: ca } = this.#deps
    const shares = this.#options.quotaShares * processes
    const given = {
      clock: this.#clock,
      logger: this.#logger,
      metrics,
      shared,
      shares,
      random,
      ca,
      credentials,
    }
    return createUpstream(this.#options, regions, given)
  }

  #createMetrics(regions: readonly string[]): RelayMetrics {
    return createMetrics({
      version: VERSION,
      connectReasons: CONNECT_REASONS,
      violationReasons: VIOLATION_CODES,
      regions,
      sources: {
        activeSessions: () => this.activeSessions,
        maxSessions: () => this.#options.maxSessions,
        sessionsAway: () => this.#registry?.awayCount ?? 0,
        admission: this.#gate,
        isReady: () => this.#readiness().ready,
        isDraining: () => this.isDraining,
        clientBufferedBytes: () => this.#registry?.buffered('client') ?? { sum: 0, max: 0 },
        upstreamBufferedBytes: () => this.#registry?.buffered('upstream') ?? { sum: 0, max: 0 },
        credentials: () => this.#upstream?.credentials.figures ?? NO_CREDENTIALS,
        logLines: () => this.#logger.lines,
        lostLogLines: () => this.#logger.lostLines(),
        traceSpans: () => this.#tracing?.counts ?? null,
        auditLines: () => this.#records.auditLines,
        lostAuditLines: () => this.#records.lostAuditLines,
        certificateExpiresAtMs: () => this.#network.certificateExpiresAtMs(),
        regions: {
          regions: () => this.#upstream?.dialer.report() ?? [],
          waiting: () => this.#upstream?.dialer.waiting ?? 0,
          isRedisConnected: () => this.#shared?.isConnected ?? null,
          isShared: this.#options.redisUrl !== null,
        },
      },
    })
  }

  #createRegistry(
    regions: readonly string[],
    upstream: RelayUpstream,
    metrics: RelayMetrics,
  ): SessionRegistry {
    const options = this.#options
    return new SessionRegistry(
      { maxSessions: options.maxSessions, tickMs: options.tickMs, reconnectSpreadMs: RECONNECT_SPREAD_MS },
      {
        clock: this.#clock,
        dialer: upstream.dialer,
        gate: this.#gate,
        metrics,
        random: this.#deps.random ?? Math.random,
        origin: this.#deps.resumeOrigin ?? createResumeOrigin(),
        limits: options,
        defaults: { ...streamDefaults(options), regions },
        log: this.#records.session,
        tracer: this.#tracing?.tracer,
        readiness: () => refusalOfUpstream(upstream),
      },
    )
  }

  #loadTracing(): Promise<Tracing | null> {
    return loadTracing(this.#options, { clock: this.#clock, logger: this.#logger, env: this.#deps.env ?? {} })
  }

  #createAccess(regions: readonly string[], shared: SharedState | null): RelayAccess {
    return createAccess(this.#options, {
      clock: this.#clock,
      logger: this.#logger,
      log: this.#records.access,
      regions,
      usedTokens: shared?.usedTokens ?? null,
      hasAuthorize: this.#deps.authorize !== undefined,
    })
  }

  #createServer(
    regions: readonly string[],
    registry: SessionRegistry,
    metrics: RelayMetrics,
    access: RelayAccess,
  ): ClientServer {
    const { clientCloseTimeoutMs, clientHardBufferBytes, handshakeErrors, handshakeTimeoutMs, host, port } =
      this.#options
    return createClientServer(
      {
        host,
        port,
        clientHardBufferBytes,
        handshakeErrors,
        handshakeTimeoutMs,
        sharePort: this.#deps.sharePort ?? false,
        ...this.#network.server,
        maxMessageBytes: this.#options.maxMessageBytes,
        idleTimeoutSeconds: this.#options.idleTimeoutSeconds,
        pingsPerSecond: this.#options.pingsPerSecond,
        maxConnections: connectionCapacity(this.#options.maxSessions),
        closeTimeoutMs: clientCloseTimeoutMs,
        guard: access.guard,
        authorize: this.#deps.authorize ?? null,
        onAccessRefused: access.onRefused,
        streamDefaults: { ...streamDefaults(this.#options), regions },
        clock: this.#clock,
        metrics,
        onFailure: error => this.#logger.error('failure outside of a session', { error }),
      },
      registry,
    )
  }

  #createOperations(metrics: RelayMetrics, regions: RegionControl): OpsServer {
    const readiness = (): Readiness => this.#readiness()
    if (this.#deps.createOperations !== undefined)
      return this.#deps.createOperations({ readiness, takeSnapshot: () => metrics.takeSnapshot(), regions })
    return createOpsServer({
      host: this.#options.opsHost,
      port: this.#options.opsPort,
      readiness,
      scrape: () => metrics.scrape(),
      regions,
      onFailure: error => this.#logger.error('operations port failed', { error }),
    })
  }

  #readiness(): Readiness {
    const reasons: string[] = []
    if (this.isDraining || this.#isClosed) reasons.push('draining')
    const credentials = this.#upstream?.credentials.readiness()
    if (credentials !== undefined && credentials.reason !== null) reasons.push(credentials.reason)
    return { ready: reasons.length === 0, reasons }
  }
}

/** Before there are any. */
const NO_CREDENTIALS = { refreshesOk: 0, refreshesFailed: 0, expiresAtMs: null } as const

function checkOpenFiles(maxSessions: number): void {
  const rule = openFilesRule(maxSessions, 1)
  if (rule !== null) throw badOption('maxSessions', String(maxSessions), rule)
}
