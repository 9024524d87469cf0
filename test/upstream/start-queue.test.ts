import t from 'tap'
import type { Waiter } from '../../src/upstream/start-queue.ts'
import { StartQueue } from '../../src/upstream/start-queue.ts'
import { createRandom } from '../support/random.ts'

interface Named extends Waiter {
  readonly name: string
}

function waiter(name: string, principal: string, more: Partial<Waiter> = {}): Named {
  return { name, principal, lane: '*', isContinuation: false, ...more }
}

function serveAll(queue: StartQueue<Named>, lane = '*'): string[] {
  const names: string[] = []
  for (let first = queue.first(lane); first !== null; first = queue.first(lane)) {
    queue.serve(first)
    names.push(first.name)
  }
  return names
}

t.test('principals take turns, and each in the order of its arrivals', async t => {
  const queue = new StartQueue<Named>(10)
  for (const name of ['a1', 'a2', 'a3', 'a4']) queue.enter(waiter(name, 'a'))
  queue.enter(waiter('b1', 'b'))
  queue.enter(waiter('c1', 'c'))
  queue.enter(waiter('c2', 'c'))
  t.equal(queue.size, 7)
  t.strictSame(serveAll(queue), ['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4'])
  t.equal(queue.size, 0)
  t.strictSame(queue.lanes, [])
})

t.test('sessions under way come first, and lanes do not wait for each other', async t => {
  const queue = new StartQueue<Named>(10)
  queue.enter(waiter('new', 'a'))
  queue.enter(waiter('under way', 'b', { isContinuation: true }))
  queue.enter(waiter('elsewhere', 'a', { lane: 'eu-west-1' }))
  t.strictSame(queue.lanes, ['*', 'eu-west-1'])
  t.equal(queue.first('eu-west-1')?.name, 'elsewhere')
  t.equal(queue.hasBefore('*', false), true)
  t.equal(queue.hasBefore('*', true), true)
  t.equal(queue.hasBefore('eu-west-1', true), false, 'a new session does not keep one under way')
  t.equal(queue.hasBefore('us-east-1', false), false)
  t.strictSame(serveAll(queue), ['under way', 'new'])
})

t.test('a full queue takes somebody new in place of the last of whoever has the most', async t => {
  const queue = new StartQueue<Named>(4)
  queue.enter(waiter('kept', 'a', { isContinuation: true }))
  for (const name of ['a1', 'a2', 'a3']) queue.enter(waiter(name, 'a'))
  t.equal(queue.isFull, true)
  t.same(queue.enter(waiter('a4', 'a')), { entered: false, displaced: null }, 'not its own')
  t.equal(queue.enter(waiter('b1', 'b')).displaced?.name, 'a3')
  t.equal(queue.enter(waiter('b2', 'b')).displaced?.name, 'a2')
  t.same(queue.enter(waiter('b3', 'b')), { entered: false, displaced: null }, 'that would be no fairer')
  const underWay = new StartQueue<Named>(2)
  for (const name of ['a1', 'a2']) underWay.enter(waiter(name, 'a', { isContinuation: true }))
  t.same(
    underWay.enter(waiter('b1', 'b')),
    { entered: false, displaced: null },
    'nobody under way has to leave',
  )
  t.same(new StartQueue<Named>(0).enter(waiter('x', 'x')), { entered: false, displaced: null })
})

t.test('whoever leaves is gone, once', async t => {
  const queue = new StartQueue<Named>(3)
  const [one, two] = [waiter('1', 'a'), waiter('2', 'a')]
  queue.enter(one)
  queue.enter(two)
  t.equal(queue.leave(one), true)
  t.equal(queue.leave(one), false)
  queue.serve(one)
  t.equal(queue.leave(waiter('3', 'b', { lane: 'none' })), false)
  t.strictSame(serveAll(queue), ['2'])
})

t.test('whatever happens, it holds no more than it may, and nobody is served twice or lost', async t => {
  const seed = 20_260_101
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const pick = (count: number): number => Math.floor(random() * count)
  const queue = new StartQueue<Named>(20)
  const waiting = new Set<Named>()
  let wrong = 0
  for (let step = 0; step < 5000; step += 1) {
    const lane = ['*', 'x', 'y'][pick(3)] ?? '*'
    if (random() < 0.6) {
      const one = waiter(String(step), `p${pick(5)}`, { lane, isContinuation: random() < 0.2 })
      const { displaced, entered } = queue.enter(one)
      if (displaced !== null && (!waiting.delete(displaced) || displaced.isContinuation)) wrong += 1
      if (entered) waiting.add(one)
      else if (waiting.size < 20) wrong += 1
    } else {
      const first = queue.first(lane)
      if (first === null) wrong += Number([...waiting].some(one => one.lane === lane))
      else {
        if (random() < 0.5) queue.serve(first)
        else queue.leave(first)
        wrong += Number(!waiting.delete(first))
      }
    }
    wrong += Number(queue.size !== waiting.size || queue.size > 20)
  }
  t.equal(wrong, 0)
})
