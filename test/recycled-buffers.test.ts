/** Memory that is used again: one owner at a time, whatever the order, and never more kept than allowed. */
import t from 'tap'
import { RecycledBuffers } from '../src/recycled-buffers.ts'
import { createRandom } from './support/random.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

t.test(`a buffer has one owner, and what lies free is bounded, TEST_SEED=${seed}`, async t => {
  for (let round = 0; round < 50; round += 1) {
    const random = createRandom(seed + round)
    const limits = { maxFreeBytes: 1 + Math.floor(random() * 5000), maxLengths: 1 + Math.floor(random() * 5) }
    const memory = new RecycledBuffers(limits)
    const owned = new Map<Buffer, number>()
    const places = new Set<ArrayBufferLike>()
    for (let step = 0; step < 500; step += 1) {
      const [oldest] = owned.entries()
      if (oldest === undefined || random() < 0.5) {
        const bytes = 1 + Math.floor(random() * 8) * 100
        const buffer = memory.take(bytes)
        if (buffer.length !== bytes || buffer.byteLength !== buffer.buffer.byteLength)
          t.fail('another length')
        if (owned.has(buffer) || places.has(buffer.buffer)) t.fail('somebody has this buffer')
        buffer.fill(step % 251)
        owned.set(buffer, step % 251)
        places.add(buffer.buffer)
      } else {
        const [buffer, value] = oldest
        if (!buffer.every(byte => byte === value)) t.fail('somebody else wrote into it')
        owned.delete(buffer)
        places.delete(buffer.buffer)
        memory.give(buffer)
      }
      if (memory.freeBytes > limits.maxFreeBytes) t.fail(`${memory.freeBytes} bytes lie free`)
    }
  }
  t.pass()
})

t.test('the last one given back is the next of its length', async t => {
  const memory = new RecycledBuffers({ maxFreeBytes: 1000, maxLengths: 2 })
  const [one, other] = [memory.take(100), memory.take(100)]
  memory.give(one)
  memory.give(other)
  t.equal(memory.freeBytes, 200)
  t.equal(memory.take(100), other)
  t.equal(memory.take(100), one)
  t.equal(memory.freeBytes, 0)
  memory.give(memory.take(200))
  memory.give(memory.take(300))
  t.equal(memory.freeBytes, 300, 'a third length takes the place of one that was not taken')
  memory.give(Buffer.alloc(900))
  t.equal(memory.freeBytes, 300, 'too much is let go')
})
