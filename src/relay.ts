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
import { RelayError } from './errors.ts'
import type { Logger } from './log.ts'
import { createLogger } from './log.ts'
import type { RelayMetrics } from './metrics/registry.ts'
import { createMetrics } from './metrics/registry.ts'
import type { MetricsSnapshot } from './metrics/snapshot.ts'
import type { RelayAccess } from './relay/access.ts'
import { createAccess } from './relay/access.ts'
import { createAdmission } from './relay/admission.ts'
import { createRelayDialer } from './relay/dialer.ts'
import { drainSessions } from './relay/drain.ts'
import { badOption, findEndpoint } from './relay/endpoint.ts'
import type { RelayNetwork } from './relay/network.ts'
import { asConfigProblem, createNetwork } from './relay/network.ts'
import type { RelayRecords } from './relay/records.ts'
import { createRecords } from './relay/records.ts'
import type { RelayAddresses } from './relay/report.ts'
import { addressesOf, logStart, nameOfBuild } from './relay/report.ts'
import { loadTracing, TRACE_FLUSH_MS } from './relay/traces.ts'
import type { ClientServer } from './server/app.ts'
import { createClientServer } from './server/app.ts'
import { connectionCapacity, openFilesRule } from './server/file-limit.ts'
import { VIOLATION_CODES } from './server/metrics.ts'
import type { OpsServer, Readiness } from './server/ops.ts'
import { createOpsServer } from './server/ops.ts'
import type { Authorize } from './server/options.ts'
import type { AdmissionGate } from './session/admission-gate.ts'
import { SessionRegistry } from './session/registry.ts'
import { createResumeOrigin, type ResumeOrigin } from './session/resume-token.ts'
import type { Tracing } from './tracing/tracing.ts'
import type { Endpoint } from './transcribe/endpoints.ts'
import type { AwsCredentials } from './upstream/aws-credentials.ts'
import { CONNECT_REASONS } from './upstream/connect-failure.ts'
import type { CredentialSource } from './upstream/credentials.ts'
import { createCredentialSource, createStaticCredentials } from './upstream/credentials.ts'
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
  /** Names the process in resume tokens, among those that share the port. Default: a name of its own. */
  readonly resumeOrigin?: ResumeOrigin
  /** Takes the place of the operations port. Default: it is opened. */
  readonly createOperations?: (sources: OperationsSources) => OpsServer
}

/** What an operations port tells. */
export interface OperationsSources {
  readonly readiness: () => Readiness
  readonly takeSnapshot: () => Promise<MetricsSnapshot>
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
  #credentials: CredentialSource | null = null
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
    const endpoint = await findEndpoint(this.#options, this.#deps.env ?? {})
    const credentials = this.#createCredentials(endpoint.region)
    const metrics = this.#createMetrics(credentials)
    this.#tracing = await this.#loadTracing()
    const registry = this.#createRegistry(endpoint, credentials, metrics)
    const access = this.#createAccess(endpoint.region)
    const server = this.#createServer(registry, metrics, access)
    const ops = this.#createOperations(metrics)
    this.#credentials = credentials
    this.#registry = registry
    this.#server = server
    this.#ops = ops
    this.#access = access
    try {
      this.#records.start()
      await access.start()
      credentials.start()
      const client = await asConfigProblem(() => server.listen())
      const operations = await ops.listen()
      metrics.setBuild(nameOfBuild(server))
      const addresses = addressesOf(client, operations, this.#options)
      logStart(this.#logger, addresses, endpoint, server)
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
    this.#credentials?.close()
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

  #createCredentials(region: string): CredentialSource {
    const { credentialsRefreshBeforeMs, credentialsTimeoutMs, profile } = this.#options
    if (this.#deps.credentials !== undefined)
      return createStaticCredentials(this.#deps.credentials, this.#clock)
    return createCredentialSource({
      clock: this.#clock,
      profile: profile ?? undefined,
      region,
      refreshBeforeMs: credentialsRefreshBeforeMs,
      timeoutMs: credentialsTimeoutMs,
    })
  }

  #createMetrics(credentials: CredentialSource): RelayMetrics {
    return createMetrics({
      version: VERSION,
      connectReasons: CONNECT_REASONS,
      violationReasons: VIOLATION_CODES,
      sources: {
        activeSessions: () => this.activeSessions,
        maxSessions: () => this.#options.maxSessions,
        sessionsAway: () => this.#registry?.awayCount ?? 0,
        admission: this.#gate,
        isReady: () => this.#readiness().ready,
        isDraining: () => this.isDraining,
        clientBufferedBytes: () => this.#registry?.buffered('client') ?? { sum: 0, max: 0 },
        upstreamBufferedBytes: () => this.#registry?.buffered('upstream') ?? { sum: 0, max: 0 },
        credentials: () => credentials.figures,
        logLines: () => this.#logger.lines,
        lostLogLines: () => this.#logger.lostLines(),
        traceSpans: () => this.#tracing?.counts ?? null,
        auditLines: () => this.#records.auditLines,
        lostAuditLines: () => this.#records.lostAuditLines,
        certificateExpiresAtMs: () => this.#network.certificateExpiresAtMs(),
      },
    })
  }

  #createRegistry(endpoint: Endpoint, credentials: CredentialSource, metrics: RelayMetrics): SessionRegistry {
    const options = this.#options
    const random = this.#deps.random ?? Math.random
    const { upstreamCa: ca } = this.#deps
    const [clock, logger] = [this.#clock, this.#logger]
    const dialer = createRelayDialer(options, { ca, clock, credentials, endpoint, logger, metrics, random })
    return new SessionRegistry(
      { maxSessions: options.maxSessions, tickMs: options.tickMs, reconnectSpreadMs: RECONNECT_SPREAD_MS },
      {
        clock,
        dialer,
        gate: this.#gate,
        metrics,
        random,
        origin: this.#deps.resumeOrigin ?? createResumeOrigin(),
        limits: options,
        defaults: streamDefaults(options),
        log: this.#records.session,
        tracer: this.#tracing?.tracer,
        readiness: () => {
          const { ready, reason } = credentials.readiness()
          return ready ? null : new RelayError('not_ready', { detail: reason })
        },
      },
    )
  }

  #loadTracing(): Promise<Tracing | null> {
    return loadTracing(this.#options, { clock: this.#clock, logger: this.#logger, env: this.#deps.env ?? {} })
  }

  #createAccess(region: string): RelayAccess {
    const hasAuthorize = this.#deps.authorize !== undefined
    const { access: log } = this.#records
    const about = { clock: this.#clock, logger: this.#logger, log, region, hasAuthorize }
    return createAccess(this.#options, about)
  }

  #createServer(registry: SessionRegistry, metrics: RelayMetrics, access: RelayAccess): ClientServer {
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
        streamDefaults: streamDefaults(this.#options),
        clock: this.#clock,
        metrics,
        onFailure: error => this.#logger.error('failure outside of a session', { error }),
      },
      registry,
    )
  }

  #createOperations(metrics: RelayMetrics): OpsServer {
    const readiness = (): Readiness => this.#readiness()
    if (this.#deps.createOperations !== undefined)
      return this.#deps.createOperations({ readiness, takeSnapshot: () => metrics.takeSnapshot() })
    return createOpsServer({
      host: this.#options.opsHost,
      port: this.#options.opsPort,
      readiness,
      scrape: () => metrics.scrape(),
      onFailure: error => this.#logger.error('operations port failed', { error }),
    })
  }

  #readiness(): Readiness {
    const reasons: string[] = []
    if (this.isDraining || this.#isClosed) reasons.push('draining')
    const credentials = this.#credentials?.readiness()
    if (credentials !== undefined && credentials.reason !== null) reasons.push(credentials.reason)
    return { ready: reasons.length === 0, reasons }
  }
}

function checkOpenFiles(maxSessions: number): void {
  const rule = openFilesRule(maxSessions, 1)
  if (rule !== null) throw badOption('maxSessions', String(maxSessions), rule)
}
