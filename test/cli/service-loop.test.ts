import t from 'tap'
import { describeListenFailure, runService } from '../../src/cli/service-loop.ts'
import type { Service } from '../../src/cli/service-loop.ts'
import { memoryContext } from '../support/cli.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'

function setUp(replaced: Partial<Service> = {}) {
  const calls: string[] = []
  const drained = defer<void>()
  const started = defer<Service>()
  const clock = new ManualClock()
  const context = memoryContext({ clock })
  const service: Service = {
    drain: () => {
      calls.push('drain')
      return drained.promise
    },
    close: async () => void calls.push('close'),
    serviceOnStop: signal => calls.push(signal),
    serviceOnCrash: error => calls.push(`crash ${(error as Error).message}`),
    ...replaced,
  }
  const exitCode = runService(() => started.promise, context)
  const run = { calls, context, clock, exitCode, endDrain: () => drained.resolve() }
  return { ...run, start: () => started.resolve(service), failStart: (error: Error) => started.reject(error) }
}

async function setUpStarted(replaced: Partial<Service> = {}) {
  const run = setUp(replaced)
  run.start()
  await new Promise(resolve => setImmediate(resolve))
  return run
}

t.test('a signal while it starts is not lost: it drains as soon as it has started', async t => {
  const { calls, context, exitCode, start, endDrain } = setUp()
  context.signal('SIGTERM')
  t.strictSame(calls, [])
  start()
  endDrain()
  t.equal(await exitCode, 0)
  t.strictSame(calls, ['SIGTERM', 'drain'])
})

t.test('a second signal does not wait for the start', async t => {
  const { calls, context, exitCode } = setUp()
  context.signal('SIGINT')
  context.signal('SIGTERM')
  t.equal(await exitCode, 143)
  t.strictSame(calls, [])
})

t.test('a start that fails, or crashes, is the failure of the command', async t => {
  const failing = setUp()
  failing.failStart(new Error('port in use'))
  await t.rejects(failing.exitCode, { message: 'port in use' })
  const crashing = setUp()
  crashing.context.crash(new Error('bug'))
  await t.rejects(crashing.exitCode, { message: 'bug' })
})

t.test('a signal drains, and the end of the drain is success', async t => {
  const { calls, context, exitCode, endDrain, clock } = await setUpStarted()
  context.signal('SIGTERM')
  endDrain()
  t.equal(await exitCode, 0)
  t.strictSame(calls, ['SIGTERM', 'drain'])
  context.signal('SIGTERM')
  context.crash(new Error('late'))
  t.strictSame(calls, ['SIGTERM', 'drain'], 'nothing listens any more')
  t.equal(clock.pendingTimers, 0)
})

t.test('a second signal closes at once', async t => {
  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    const { calls, context, exitCode, clock } = await setUpStarted()
    context.signal('SIGINT')
    context.signal(signal)
    t.equal(await exitCode, expected)
    t.strictSame(calls, ['SIGINT', 'drain', 'close'])
    t.equal(clock.pendingTimers, 0)
  }
})

t.test('a drain that ends by the close of a second signal is no success', async t => {
  const closed = defer<void>()
  const { context, exitCode, endDrain } = await setUpStarted({ close: () => closed.promise })
  context.signal('SIGTERM')
  context.signal('SIGTERM')
  endDrain()
  await new Promise(resolve => setImmediate(resolve))
  closed.resolve()
  t.equal(await exitCode, 143)
})

t.test('a forced close that hangs or fails ends too', async t => {
  const hanging = await setUpStarted({ close: () => new Promise(() => undefined) })
  hanging.context.signal('SIGINT')
  hanging.context.signal('SIGINT')
  hanging.clock.advance(2000)
  t.equal(await hanging.exitCode, 130)
  const failing = await setUpStarted({ close: async () => Promise.reject(new Error('broken')) })
  failing.context.signal('SIGINT')
  failing.context.signal('SIGINT')
  t.equal(await failing.exitCode, 130)
  t.strictSame(failing.calls, ['SIGINT', 'drain', 'crash broken'])
})

t.test('a crash is reported, drains and fails; a second one is reported only', async t => {
  const { calls, context, exitCode, endDrain } = await setUpStarted()
  context.crash(new Error('one'))
  context.crash(new Error('two'))
  endDrain()
  t.equal(await exitCode, 1)
  t.strictSame(calls, ['crash one', 'drain', 'crash two'])
  const failing = await setUpStarted({ drain: async () => Promise.reject(new Error('no end')) })
  failing.context.signal('SIGTERM')
  t.equal(await failing.exitCode, 1)
  t.strictSame(failing.calls, ['SIGTERM', 'crash no end'])
  const late = await setUpStarted()
  late.context.signal('SIGTERM')
  late.context.crash(new Error('while it drains'))
  late.endDrain()
  t.equal(await late.exitCode, 1, 'whoever began the drain')
})

t.test('the first signal after a crash goes on with the drain; the next one ends it', async t => {
  const { calls, context, exitCode, endDrain } = await setUpStarted()
  context.crash(new Error('one'))
  context.signal('SIGTERM')
  await new Promise(resolve => setImmediate(resolve))
  endDrain()
  t.equal(await exitCode, 1)
  t.strictSame(calls, ['crash one', 'drain', 'SIGTERM'])
  const forced = await setUpStarted()
  forced.context.crash(new Error('two'))
  forced.context.signal('SIGINT')
  forced.context.signal('SIGTERM')
  t.equal(await forced.exitCode, 143)
  t.strictSame(forced.calls, ['crash two', 'drain', 'SIGINT', 'close'])
})

function failure(code: string): string | null {
  return describeListenFailure(Object.assign(new Error(), { code }), 'h port 1')
}

t.test('a port that cannot be had is told in words', async t => {
  t.match(failure('EADDRINUSE'), /h port 1 is in use/)
  t.match(failure('EACCES'), /may not be opened/)
  t.match(failure('EADDRNOTAVAIL'), /no address of this machine/)
  t.equal(failure('EOTHER'), null)
  t.equal(describeListenFailure('text', ''), null)
  t.equal(describeListenFailure(new Error(), ''), null)
})
