/** Random messages for the property tests, and the seed that makes a run repeatable. */
import { randomInt } from 'node:crypto'
import * as fc from 'fast-check'
import type { Test } from 'tap'
import type { HeaderValue } from '../../src/eventstream/index.ts'

export interface Sample {
  readonly headers: ReadonlyMap<string, HeaderValue>
  readonly payload: Uint8Array
}

/** A fresh seed, printed; `EVENTSTREAM_SEED=…` repeats a run. */
export function chooseSeed(t: Test): number {
  const seed = Number(process.env['EVENTSTREAM_SEED'] ?? randomInt(2 ** 31))
  t.comment(`EVENTSTREAM_SEED=${seed}`)
  return seed
}

/** Milliseconds that a `Date` can hold; the AWS codec cannot say more. */
const MAX_DATE_MS = 8_640_000_000_000_000n

const text = fc.string({ unit: 'binary', maxLength: 40 })

const headerValue: fc.Arbitrary<HeaderValue> = fc.oneof(
  fc.record({ type: fc.constant('boolean'), value: fc.boolean() }),
  fc.record({ type: fc.constant('byte'), value: fc.integer({ min: -128, max: 127 }) }),
  fc.record({ type: fc.constant('short'), value: fc.integer({ min: -32_768, max: 32_767 }) }),
  fc.record({ type: fc.constant('integer'), value: fc.integer() }),
  fc.record({ type: fc.constant('long'), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ type: fc.constant('byteArray'), value: fc.uint8Array({ maxLength: 80 }) }),
  fc.record({ type: fc.constant('string'), value: text }),
  fc.record({ type: fc.constant('timestamp'), value: fc.bigInt({ min: -MAX_DATE_MS, max: MAX_DATE_MS }) }),
  fc.record({ type: fc.constant('uuid'), value: fc.uuid() }),
)

// A colon first keeps names out of the reach of two traps of the plain object that the AWS codec reads names into:
// integer-like keys change their order, and `__proto__` is not a key.
const headerName = text.map(name => `:${name}`)

export const sample: fc.Arbitrary<Sample> = fc.record({
  headers: fc.array(fc.tuple(headerName, headerValue), { maxLength: 6 }).map(entries => new Map(entries)),
  payload: fc.uint8Array({ maxLength: 400 }),
})
