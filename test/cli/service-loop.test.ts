import t from 'tap'
import { describeListenFailure, runUntilStopped } from '../../src/cli/service-loop.ts'
import type { Service } from '../../src/cli/service-loop.ts'
import { memoryContext } from '../support/cli.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'

function setUp(service: Partial<Service> = {}) {
  const calls: string[] = []
  const drained = defer<void>()
  const clock = new ManualClock()
  const context = memoryContext({ clock })
  const exitCode = runUntilStopped(
    {
      drain: () => {
        calls.push('drain')
        return drained.promise
      },
      close: async () => void calls.push('close'),
      ...service,
    },
    {
      serviceOnStop: signal => calls.push(signal),
      serviceOnCrash: error => calls.push(`crash ${(error as Error).message}`),
    },
    context,
  )
  return { calls, context, clock, exitCode, endDrain: () => drained.resolve() }
}

t.test('a signal drains, and the end of the drain is success', async t => {
  const { calls, context, exitCode, endDrain, clock } = setUp()
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
    const { calls, context, exitCode, clock } = setUp()
    context.signal('SIGINT')
    context.signal(signal)
    t.equal(await exitCode, expected)
    t.strictSame(calls, ['SIGINT', 'drain', 'close'])
    t.equal(clock.pendingTimers, 0)
  }
})

t.test('a forced close that hangs or fails ends too', async t => {
  const hanging = setUp({ close: () => new Promise(() => undefined) })
  hanging.context.signal('SIGINT')
  hanging.context.signal('SIGINT')
  hanging.clock.advance(2000)
  t.equal(await hanging.exitCode, 130)
  const failing = setUp({ close: async () => Promise.reject(new Error('broken')) })
  failing.context.signal('SIGINT')
  failing.context.signal('SIGINT')
  t.equal(await failing.exitCode, 130)
  t.strictSame(failing.calls, ['SIGINT', 'drain', 'crash broken'])
})

t.test('a crash is reported, drains and fails; a second one is reported only', async t => {
  const { calls, context, exitCode, endDrain } = setUp()
  context.crash(new Error('one'))
  context.crash(new Error('two'))
  endDrain()
  t.equal(await exitCode, 1)
  t.strictSame(calls, ['crash one', 'drain', 'crash two'])
  const failing = setUp({ drain: async () => Promise.reject(new Error('no end')) })
  failing.context.signal('SIGTERM')
  t.equal(await failing.exitCode, 1)
  t.strictSame(failing.calls, ['SIGTERM', 'crash no end'])
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
