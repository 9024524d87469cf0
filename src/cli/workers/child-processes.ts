/**
 * The line between primary and workers over Node's child processes. Structured clone, as JSON has no `NaN` for a metric.
 */
import type { ChildProcess, ForkOptions } from 'node:child_process'
import { fork } from 'node:child_process'
import type { News, Order, PrimaryChannel, SpawnWorker, WorkerProcess } from './ports.ts'
import { failureOfSpawn, WORKER_ARGUMENT } from './ports.ts'

type Fork = (entry: string, args: readonly string[], options: ForkOptions) => ChildProcess

/**
 * Workers run `entry`. They share the standard output and error of this process. `onProcessExit` sees that none of them
 * outlives it, however it ends.
 */
export function createSpawn(
  entry: string,
  onProcessExit: (action: () => void) => void,
  forkProcess: Fork = fork,
): SpawnWorker {
  const children = new Set<ChildProcess>()
  onProcessExit(() => {
    for (const child of children) endNow(child)
  })
  return events => {
    const child = forkProcess(entry, [WORKER_ARGUMENT], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.add(child)
    let isGone = false
    const end = (code: number | null, signal: string | null): void => {
      if (isGone) return
      isGone = true
      children.delete(child)
      events.workerOnExit({ code, signal })
    }
    child.on('message', news => events.workerOnNews(news as News))
    // Not `exit`: what the worker has said last comes between the two.
    child.on('close', end)
    // A process that could not be started has no other event. For one that runs, `close` follows.
    child.on('error', error => {
      if (isGone || child.pid !== undefined) return
      events.workerOnNews({ type: 'failed', failure: failureOfSpawn(error) })
      end(null, null)
    })
    return processOf(child)
  }
}

function processOf(child: ChildProcess): WorkerProcess {
  return {
    pid: child.pid,
    // One that could not be started has no channel, and may not even have `send`.
    send: order => void (child.connected && child.send(order, ignore)),
    kill: () => endNow(child),
  }
}

/** The part of `process` that a worker has to its primary. */
export interface ParentProcess {
  send?(message: unknown, handle: undefined, options: undefined, callback: () => void): boolean
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect', listener: () => void): unknown
}

export function createPrimaryChannel(parent: ParentProcess): PrimaryChannel {
  return {
    send: async news =>
      new Promise(resolve => {
        if (parent.send === undefined) resolve()
        else parent.send(news, undefined, undefined, () => resolve())
      }),
    listen(events) {
      parent.on('message', order => events.primaryOnOrder(order as Order))
      parent.on('disconnect', () => events.primaryOnGone())
    },
  }
}

/** Only a process that there is: to the system, 0 in place of its number would be the whole group. */
function endNow(child: ChildProcess): void {
  if (child.pid !== undefined) child.kill('SIGKILL')
}

function ignore(): void {
  // What cannot be sent had a worker that is gone, and its end is told by itself.
}
