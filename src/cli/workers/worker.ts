/**
 * A worker: a relay that shares its client port with its siblings, and hears from the primary instead of operators and
 * signals. Signals are for the primary; a worker whose primary is gone drains.
 */
import { ConfigError } from '../../config/problems.ts'
import { createLogger } from '../../log.ts'
import type { Logger } from '../../log.ts'
import type { OperationsSources } from '../../relay.ts'
import type { OpsServer } from '../../server/ops.ts'
import { VERSION } from '../../version.ts'
import type { CommandContext } from '../command.ts'
import { CommandError } from '../command.ts'
import { EXIT_FAILURE } from '../exit-codes.ts'
import type { StopSignal } from '../exit-codes.ts'
import { loggedService } from '../logged-service.ts'
import { startRelay } from '../relay-start.ts'
import type { Service } from '../service-loop.ts'
import { runService } from '../service-loop.ts'
import type { Order, PrimaryChannel, RegionOrder, StartFailure, WorkerReport, WorkerStart } from './ports.ts'

/** Resolves with the exit code. */
export async function runWorker(
  channel: PrimaryChannel,
  context: Pick<CommandContext, 'clock' | 'environment' | 'events'>,
): Promise<number> {
  const worker = new Worker(channel, context)
  try {
    return await runService(() => worker.start(), {
      clock: context.clock,
      events: {
        onStopSignal: listener => worker.onStop(listener),
        onCrash: listener => context.events.onCrash(listener),
      },
    })
  } catch (error) {
    await channel.send({ type: 'failed', failure: describeFailure(error) })
    return EXIT_FAILURE
  }
}

/** For `runService` the first stop drains, the second closes. */
const STOPS_TO_CLOSE = 2
/** Which of the two does not matter to anybody: the primary has its own exit code. */
const STOP: StopSignal = 'SIGTERM'

class Worker {
  readonly #channel: PrimaryChannel
  readonly #context: Pick<CommandContext, 'clock' | 'environment'>
  readonly #order: Promise<WorkerStart>
  #beginOnOrder: (start: WorkerStart) => void = () => {}
  #failOrder: (error: Error) => void = () => {}
  #stopListener: ((signal: StopSignal) => void) | null = null
  #stops = 0
  #sources: OperationsSources | null = null
  #logger: Logger | null = null

  constructor(channel: PrimaryChannel, context: Pick<CommandContext, 'clock' | 'environment'>) {
    this.#channel = channel
    this.#context = context
    this.#order = new Promise((resolve, reject) => {
      this.#beginOnOrder = resolve
      this.#failOrder = reject
    })
    channel.listen({
      primaryOnOrder: order => this.#primaryOnOrder(order),
      primaryOnGone: () => this.#primaryOnGone(),
    })
  }

  onStop(listener: (signal: StopSignal) => void): () => void {
    this.#stopListener = listener
    return () => {
      this.#stopListener = null
    }
  }

  async start(): Promise<Service> {
    const { worker, workers, relayName, options, operations } = await this.#order
    const { clock, environment } = this.#context
    const logger = createLogger({ level: options.logLevel, version: VERSION, worker, sharesOutput: true })
    this.#logger = logger
    const { relay } = await startRelay(
      options,
      {
        clock,
        env: environment,
        sharePort: true,
        processes: workers,
        resumeOrigin: { relay: relayName, process: worker },
        createOperations: sources => this.#createOperations(sources, operations),
      },
      logger,
    )
    const regions = this.#sources?.regions.report().map(({ region }) => region) ?? []
    await this.#channel.send({ type: 'started', regions })
    return { ...loggedService(relay, logger), serviceOnStop: () => logger.info('worker stopping') }
  }

  /** The primary has the port; here is who answers when it asks. */
  #createOperations(
    sources: OperationsSources,
    address: { readonly host: string; readonly port: number },
  ): OpsServer {
    this.#sources = sources
    return { listen: async () => address, close: async () => {} }
  }

  #primaryOnOrder(order: Order): void {
    switch (order.type) {
      case 'start':
        this.#beginOnOrder(order.start)
        return
      case 'ask':
        void this.#answer(order.id, order.withMetrics)
        return
      case 'region':
        void this.#orderRegion(order.id, order.order)
        return
      case 'drain':
        this.#stop(1)
        return
      default:
        this.#stop(STOPS_TO_CLOSE)
    }
  }

  #primaryOnGone(): void {
    // Without effect once the order was there.
    this.#failOrder(new CommandError('the primary process is gone'))
    this.#stop(1)
  }

  #stop(stops: number): void {
    while (this.#stops < stops) {
      this.#stops += 1
      this.#stopListener?.(STOP)
    }
  }

  async #answer(id: number, withMetrics: boolean): Promise<void> {
    const readiness = this.#sources?.readiness() ?? { ready: false, reasons: ['starting'] }
    const regions = this.#sources?.regions.report() ?? []
    const metrics = withMetrics ? await this.#takeSnapshot() : null
    await this.#channel.send({ type: 'answer', id, report: { readiness, metrics, regions } })
  }

  async #orderRegion(id: number, { ageMs, isDraining, region }: RegionOrder): Promise<void> {
    await this.#sources?.regions.order(region, isDraining, ageMs)
    await this.#answer(id, false)
  }

  async #takeSnapshot(): Promise<WorkerReport['metrics']> {
    try {
      return (await this.#sources?.takeSnapshot()) ?? null
    } catch (error) {
      this.#logger?.error('metrics failed', { error })
      return null
    }
  }
}

function describeFailure(error: unknown): StartFailure {
  if (error instanceof ConfigError) return { message: error.message, problems: error.problems }
  if (error instanceof CommandError) return { message: error.message, problems: [] }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { message, problems: [] }
}
