/** Workers as child processes that the system does not give, or gives without a channel. */
import { ChildProcess } from 'node:child_process'
import t from 'tap'
import { createSpawn } from '../../../src/cli/workers/child-processes.ts'
import type { WorkerEvents } from '../../../src/cli/workers/ports.ts'
import { WorkerSupervisor } from '../../../src/cli/workers/supervisor.ts'
import { resolveOptions } from '../../../src/config/resolve.ts'
import { ManualClock } from '../../support/manual-clock.ts'

/** A child as Node leaves it when the system refused: without a number, and for `EMFILE` without `send`. */
class UnstartedChild extends ChildProcess {
  override kill(): boolean {
    throw new Error('there is nobody to kill')
  }

  refuse(code: string): void {
    this.emit('error', Object.assign(new Error(`spawn ${code}`), { code }))
    this.emit('close', -11, null)
  }
}

function record(): { readonly told: unknown[]; readonly events: WorkerEvents } {
  const told: unknown[] = []
  return {
    told,
    events: { workerOnNews: news => told.push(news), workerOnExit: exit => told.push(exit) },
  }
}

const STARTED_IN_VAIN = { code: null, signal: null }

t.test('a process that could not be started has failed, once, and takes no orders', t => {
  const children: UnstartedChild[] = []
  let endAll = (): void => void t.fail('nothing to do at the end')
  const spawn = createSpawn(
    'entry.js',
    action => (endAll = action),
    () => {
      const child = new UnstartedChild()
      children.push(child)
      return child
    },
  )
  const { told, events } = record()
  const worker = spawn(events)
  worker.send({ type: 'drain' })
  worker.kill()
  endAll()
  t.strictSame([worker.pid, told], [undefined, []])
  children[0]?.refuse('EAGAIN')
  children[0]?.refuse('EAGAIN')
  const message = 'a worker process could not be started: EAGAIN'
  t.strictSame(told, [{ type: 'failed', failure: { message, problems: [] } }, STARTED_IN_VAIN])
  t.end()
})

t.test('what the system really refuses is told the same way', async t => {
  const { execPath } = process
  t.teardown(() => (process.execPath = execPath))
  process.execPath = `${t.testdir()}/missing`
  const { told, events } = record()
  await new Promise<void>(resolve => {
    const spawn = createSpawn('entry.js', () => {})
    const workerOnExit: WorkerEvents['workerOnExit'] = exit => {
      events.workerOnExit(exit)
      resolve()
    }
    spawn({ ...events, workerOnExit }).send({ type: 'close' })
  })
  t.match(told, [{ failure: { message: /could not be started: ENOENT$/ } }, STARTED_IN_VAIN])
})

t.test('a relay lives on while the system has no process for one of its workers', async t => {
  const clock = new ManualClock()
  const told: string[] = []
  const children: UnstartedChild[] = []
  const { options } = resolveOptions()
  const operations = { host: '127.0.0.1', port: 9090 }
  const supervisor = new WorkerSupervisor({
    starts: [1, 2].map(worker => ({ worker, workers: 2, relayName: 'test', options, operations })),
    clock,
    drainLimitMs: 1000,
    events: {
      supervisorOnRestarted: worker => told.push(`restarted ${worker}`),
      supervisorOnDeath: (worker, reason, restartInMs) => told.push(`${worker} ${reason} ${restartInMs}`),
      supervisorOnReport: () => {},
      supervisorOnHang: worker => told.push(`hang ${worker}`),
      supervisorOnGiveUp: error => told.push(error.message),
    },
    spawn: createSpawn(
      'entry.js',
      () => {},
      () => {
        const child = new UnstartedChild()
        children.push(child)
        return child
      },
    ),
  })
  const started = supervisor.start()
  for (const child of children) child.emit('message', { type: 'started' })
  await started
  children[0]?.emit('close', 1, null)
  clock.advance(100)
  children[2]?.refuse('EAGAIN')
  clock.advance(200)
  children[3]?.emit('message', { type: 'started' })
  t.strictSame(told, [
    '1 exit code 1 100',
    '1 a worker process could not be started: EAGAIN 200',
    'restarted 1',
  ])
  t.strictSame([...supervisor.states.values()], ['running', 'running'])
  for (const child of children) child.emit('close', 0, null)
  await supervisor.close()
  t.equal(clock.pendingTimers, 0)
})
