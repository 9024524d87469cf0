/** A worker of `serve --workers` that does what a test says, in memory. */
import type { Order, StartFailure, WorkerEvents } from '../../src/cli/workers/ports.ts'
import type { WorkerProcess, WorkerReport } from '../../src/cli/workers/ports.ts'

export const READY_REPORT: WorkerReport = {
  readiness: { ready: true, reasons: [] },
  metrics: null,
  regions: [],
}

export class FakeWorker implements WorkerProcess {
  readonly pid: number
  readonly orders: Order[] = []
  readonly #events: WorkerEvents
  isKilled = false
  isGone = false
  /** Answers what it is asked by itself. */
  answers = true
  report = READY_REPORT
  /** Sees each order after it was counted and answered. */
  onOrder: (order: Order) => void = () => {}

  constructor(pid: number, events: WorkerEvents) {
    this.pid = pid
    this.#events = events
  }

  get orderTypes(): readonly string[] {
    return this.orders.map(({ type }) => type)
  }

  send(order: Order): void {
    this.orders.push(order)
    if ((order.type === 'ask' || order.type === 'region') && this.answers)
      this.#events.workerOnNews({ type: 'answer', id: order.id, report: this.report })
    this.onOrder(order)
  }

  kill(): void {
    this.isKilled = true
  }

  start(): void {
    this.#events.workerOnNews({ type: 'started', regions: ['us-east-1'] })
  }

  fail(failure: StartFailure): void {
    this.#events.workerOnNews({ type: 'failed', failure })
  }

  exit(code: number | null, signal: string | null = null): void {
    this.isGone = true
    this.#events.workerOnExit({ code, signal })
  }
}
