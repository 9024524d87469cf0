/** What becomes of workers that start, die, hang and end; processes and time are the test's. */
import t from 'tap'
import { MAX_BACKOFF_MS, MAX_DEATHS_PER_MINUTE } from '../../../src/cli/workers/restarts.ts'
import { WorkerSupervisor } from '../../../src/cli/workers/supervisor.ts'
import { BEAT_MS, MAX_MISSED_BEATS, START_TIMEOUT_MS } from '../../../src/cli/workers/worker-slot.ts'
import { ConfigError } from '../../../src/config/problems.ts'
import { resolveOptions } from '../../../src/config/resolve.ts'
import { FakeWorker, READY_REPORT } from '../../support/fake-worker.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const DRAIN_LIMIT_MS = 60_000
const KILLED = { code: null, signal: 'SIGKILL' } as const

function setUp(workers = 2) {
  const clock = new ManualClock()
  const processes: FakeWorker[] = []
  const told: string[] = []
  /** While not null, the system has no process to give. */
  const system: { refusal: Error | null } = { refusal: null }
  const { options } = resolveOptions()
  const operations = { host: '127.0.0.1', port: 9090 }
  const supervisor = new WorkerSupervisor({
    starts: Array.from({ length: workers }, (_, index) => ({
      worker: index + 1,
      workers,
      relayName: 'test',
      options,
      operations,
    })),
    spawn: events => {
      if (system.refusal !== null) throw system.refusal
      const child = new FakeWorker(1000 + processes.length, events)
      processes.push(child)
      return child
    },
    clock,
    drainLimitMs: DRAIN_LIMIT_MS,
    events: {
      supervisorOnRestarted: worker => told.push(`restarted ${worker}`),
      supervisorOnDeath: (worker, reason, restartInMs) =>
        told.push(`death ${worker} ${reason} ${restartInMs}`),
      supervisorOnReport: () => {},
      supervisorOnHang: (worker, reason) => told.push(`hang ${worker} ${reason}`),
      supervisorOnGiveUp: error => told.push(`give up: ${error.message}`),
    },
  })
  /** The process that was started as the n-th, from 0. */
  const child = (index: number): FakeWorker => {
    const found = processes[index]
    if (found === undefined) throw new Error(`process ${index} was not started`)
    return found
  }
  return { clock, processes, told, supervisor, child, system }
}

async function setUpStarted(workers = 2) {
  const run = setUp(workers)
  const started = run.supervisor.start()
  for (const process of run.processes) process.start()
  await started
  return run
}

t.test('all start at once, and the start is over when the last has started', async t => {
  const { supervisor, processes, child } = setUp(3)
  let isOver = false
  const started = supervisor.start().then(() => (isOver = true))
  t.equal(processes.length, 3)
  t.match(
    processes.map(({ orders }) => orders[0]),
    [{ start: { worker: 1 } }, { start: { worker: 2 } }, { start: { worker: 3 } }],
  )
  t.strictSame([...supervisor.states.values()], ['starting', 'starting', 'starting'])
  child(0).start()
  child(2).start()
  await Promise.resolve()
  t.equal(isOver, false)
  t.strictSame(
    [...(await supervisor.ask(false, 100)).values()],
    [READY_REPORT, null, READY_REPORT],
    'nobody asks one that starts',
  )
  child(1).start()
  await started
  t.strictSame([...supervisor.states.values()], ['running', 'running', 'running'])
})

t.test('one that cannot start is the failure of all, with its reason', async t => {
  const problem = { path: 'option region', value: null, rule: 'cannot be found' }
  const { supervisor, child, clock } = setUp()
  const started = supervisor.start()
  child(0).start()
  child(1).fail({ message: 'not valid', problems: [problem] })
  child(1).exit(1)
  t.equal(child(0).isKilled, true)
  child(0).exit(null, 'SIGKILL')
  const error = await started.catch((reason: unknown) => reason)
  t.ok(error instanceof ConfigError)
  t.match(error, { problems: [problem] })
  t.equal(clock.pendingTimers, 0)
  const plain = setUp(1)
  const plainStart = plain.supervisor.start()
  plain.child(0).fail({ message: 'cannot listen', problems: [] })
  plain.child(0).exit(1)
  await t.rejects(plainStart, { name: 'CommandError', message: 'cannot listen' })
})

t.test('one that ends before it has started says how', async t => {
  const table = [
    [KILLED.code, KILLED.signal, /worker 1 ended before it had started: killed by SIGKILL/],
    [7, null, /exit code 7/],
    [null, null, /could not be started/],
  ] as const
  for (const [code, signal, message] of table) {
    const { supervisor, child } = setUp(1)
    const started = supervisor.start()
    child(0).exit(code, signal)
    await t.rejects(started, { message })
  }
})

t.test('one that does not start in time is killed', async t => {
  const { supervisor, child, clock, told } = setUp(1)
  const started = supervisor.start()
  clock.advance(START_TIMEOUT_MS)
  t.equal(child(0).isKilled, true)
  t.strictSame(told, ['hang 1 does not start'])
  child(0).exit(null, 'SIGKILL')
  await t.rejects(started, { message: /killed by SIGKILL/ })
})

t.test('one that dies is started again in its place; the others are left alone', async t => {
  const { supervisor, processes, child, clock, told } = await setUpStarted()
  child(0).exit(null, 'SIGKILL')
  t.strictSame(
    [...supervisor.states],
    [
      [1, 'restarting'],
      [2, 'running'],
    ],
  )
  clock.advance(99)
  t.equal(processes.length, 2)
  clock.advance(1)
  t.match(child(2).orders[0], { start: { worker: 1 } })
  child(2).start()
  t.strictSame(
    [...supervisor.pids],
    [
      [1, 1002],
      [2, 1001],
    ],
  )
  t.strictSame(told, ['death 1 killed by SIGKILL 100', 'restarted 1'])
  t.strictSame(child(1).orderTypes, ['start'])
})

t.test('one that cannot start again has died for its reason, and waits longer', async t => {
  const { child, clock, told } = await setUpStarted(1)
  child(0).exit(1)
  clock.advance(100)
  child(1).fail({ message: 'cannot listen', problems: [] })
  child(1).exit(1)
  t.strictSame(told, ['death 1 exit code 1 100', 'death 1 cannot listen 200'])
})

t.test('one for which there is no process is tried again like one that died; the others live', async t => {
  const { supervisor, processes, child, clock, told, system } = await setUpStarted()
  system.refusal = Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM' })
  child(0).exit(1)
  clock.advance(100)
  t.strictSame([...supervisor.states.values()], ['starting', 'running'])
  await Promise.resolve()
  t.strictSame([...supervisor.states.values()], ['restarting', 'running'])
  system.refusal = new Error('who knows')
  clock.advance(200)
  await Promise.resolve()
  system.refusal = null
  clock.advance(400)
  child(2).start()
  t.strictSame(told, [
    'death 1 exit code 1 100',
    'death 1 a worker process could not be started: ENOMEM 200',
    'death 1 a worker process could not be started: unknown reason 400',
    'restarted 1',
  ])
  t.strictSame([processes.length, child(1).orderTypes, child(1).isKilled], [3, ['start'], false])
  system.refusal = new Error('again')
  child(2).exit(1)
  clock.advance(MAX_BACKOFF_MS)
  const drained = supervisor.drain()
  child(1).exit(0)
  await drained
  t.equal(clock.pendingTimers, 0, 'a drain right behind the attempt ends as well')
})

t.test('a relay for whose workers there are no processes does not start', async t => {
  const { supervisor, processes, clock, system, told } = setUp()
  system.refusal = Object.assign(new Error('spawn EAGAIN'), { code: 'EAGAIN' })
  await t.rejects(supervisor.start(), { message: 'a worker process could not be started: EAGAIN' })
  t.strictSame([processes.length, told, clock.pendingTimers], [0, [], 0])
})

t.test('too many deaths within a minute are the end: nothing is started, the others may drain', async t => {
  const { supervisor, processes, child, clock, told } = await setUpStarted()
  for (let deaths = 0; deaths <= MAX_DEATHS_PER_MINUTE; deaths += 1) {
    child(deaths === 0 ? 0 : deaths + 1).exit(1)
    clock.advance(MAX_BACKOFF_MS)
    if (deaths < MAX_DEATHS_PER_MINUTE) child(deaths + 2).start()
  }
  t.equal(processes.length, MAX_DEATHS_PER_MINUTE + 2)
  t.equal(told.at(-2), 'death 1 exit code 1 null')
  t.equal(told.at(-1), `give up: more than ${MAX_DEATHS_PER_MINUTE} workers died within a minute`)
  const drained = supervisor.drain()
  t.strictSame(child(1).orderTypes.at(-1), 'drain')
  child(1).exit(0)
  await drained
  t.equal(clock.pendingTimers, 0)
})

t.test('deaths that are far apart go on for ever, without a longer wait', async t => {
  const { child, clock, told } = await setUpStarted(1)
  for (let deaths = 0; deaths < 3 * MAX_DEATHS_PER_MINUTE; deaths += 1) {
    child(deaths).exit(1)
    clock.advance(60_000)
    child(deaths + 1).start()
  }
  t.ok(told.every(line => line === 'death 1 exit code 1 100' || line === 'restarted 1'))
})

t.test('one that does not answer is killed, after a while; one that answers late is not', async t => {
  const { child, clock, told } = await setUpStarted()
  child(0).answers = false
  clock.advance(BEAT_MS * MAX_MISSED_BEATS)
  t.equal(child(0).isKilled, false)
  const [question] = child(0).orders.filter(({ type }) => type === 'ask')
  t.ok(question !== undefined)
  clock.advance(BEAT_MS)
  t.equal(child(0).isKilled, true)
  t.equal(child(1).isKilled, false)
  t.strictSame(told, ['hang 1 does not answer'])
})

t.test('a question has an end: none in time, and none from who is gone', async t => {
  const { supervisor, child, clock } = await setUpStarted()
  child(0).answers = false
  const late = supervisor.ask(true, 500)
  t.match(child(0).orders.at(-1), { type: 'ask', withMetrics: true })
  clock.advance(500)
  t.strictSame(
    [...(await late)],
    [
      [1, null],
      [2, READY_REPORT],
    ],
  )
  const cut = supervisor.ask(true, 500)
  child(0).exit(1)
  t.strictSame((await cut).get(1), null)
  t.notOk((await supervisor.ask(true, 500)).has(1), 'nobody to ask')
})

t.test('a drain asks all, once, and is over with the last of them', async t => {
  const { supervisor, child, clock, told } = await setUpStarted()
  const drained = supervisor.drain()
  void supervisor.drain()
  t.strictSame([...supervisor.states.values()], ['draining', 'draining'])
  t.strictSame(child(0).orderTypes, ['start', 'drain'])
  child(0).exit(0)
  child(1).exit(1)
  t.strictSame(await drained, [2])
  t.strictSame(
    told,
    ['death 2 exit code 1 null'],
    'one that failed on its way is told, and not started again',
  )
  await supervisor.drain()
  t.equal(clock.pendingTimers, 0)
})

t.test('a drain does not wait for a worker that waits for its restart', async t => {
  const { supervisor, processes, child, clock } = await setUpStarted()
  child(0).exit(1)
  const drained = supervisor.drain()
  child(1).exit(0)
  t.strictSame(await drained, [], 'the death before was none of the drain')
  clock.advance(MAX_BACKOFF_MS)
  t.equal(processes.length, 2)
  t.equal(clock.pendingTimers, 0)
})

t.test('one that does not end its drain is killed', async t => {
  const { supervisor, child, clock, told } = await setUpStarted()
  const drained = supervisor.drain()
  child(0).exit(0)
  clock.advance(DRAIN_LIMIT_MS)
  t.strictSame([child(0).isKilled, child(1).isKilled], [false, true])
  t.strictSame(told, ['hang 2 does not end'])
  child(1).exit(null, 'SIGKILL')
  t.strictSame(await drained, [2])
})

t.test('a close follows a drain, and is no death', async t => {
  const { supervisor, child, told } = await setUpStarted()
  const drained = supervisor.drain()
  const closed = supervisor.close()
  t.strictSame(child(0).orderTypes, ['start', 'drain', 'close'])
  child(0).exit(143)
  child(1).exit(143)
  await closed
  t.strictSame(await drained, [])
  await supervisor.close()
  t.strictSame(told, [])
})

t.test('an order about a region goes to all, and to those that are started later', async t => {
  const { supervisor, child, clock } = await setUpStarted()
  const answers = await supervisor.orderRegion('us-east-1', true, 1000)
  t.strictSame([...answers.keys()], [1, 2], 'once they have done so')
  const drain = (ageMs: number) => ({
    type: 'region',
    order: { region: 'us-east-1', isDraining: true, ageMs },
  })
  t.match(child(0).orders.at(-1), drain(0))
  t.match(child(1).orders.at(-1), drain(0))
  child(1).answers = false
  const late = supervisor.orderRegion('us-east-1', true, 1000)
  clock.advance(1000)
  t.equal((await late).get(2), null, 'one that does not answer is not waited for')
  child(0).exit(null, 'SIGKILL')
  clock.advance(MAX_BACKOFF_MS)
  child(2).start()
  t.match(child(2).orders.at(-1), drain(1000 + MAX_BACKOFF_MS), 'with its age')
  child(1).answers = true
  await supervisor.orderRegion('us-east-1', false, 1000)
  child(2).exit(null, 'SIGKILL')
  clock.advance(MAX_BACKOFF_MS)
  child(3).start()
  t.strictSame(child(3).orderTypes, ['start'])
})
