/**
 * The line between primary and workers over Node's child processes. Structured clone, as JSON has no `NaN` for a metric.
 */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import type { News, Order, PrimaryChannel, SpawnWorker, WorkerProcess } from './ports.ts'
import { WORKER_ARGUMENT } from './ports.ts'

/**
 * Workers run `entry`. They share the standard output and error of this process. `onProcessExit` sees that none of them
 * outlives it, however it ends.
 */
export function createSpawn(entry: string, onProcessExit: (action: () => void) => void): SpawnWorker {
  const children = new Set<ChildProcess>()
  onProcessExit(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  return events => {
    const child = fork(entry, [WORKER_ARGUMENT], {
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
    child.on('error', () => {
      if (child.pid === undefined) end(null, null)
    })
    return processOf(child)
  }
}

function processOf(child: ChildProcess): WorkerProcess {
  return {
    pid: child.pid,
    send: order => void child.send(order, ignore),
    kill: () => void child.kill('SIGKILL'),
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

function ignore(): void {
  // What cannot be sent had a worker that is gone, and its end is told by itself.
}
