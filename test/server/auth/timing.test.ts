/** How long the look-up of an API key takes tells nothing about the keys (AU-12). */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { digestOf, KeyRing } from '../../../src/server/auth/api-keys.ts'
import { NO_GRANTS_LIMIT } from '../../../src/server/auth/grants.ts'

const TRIES = 20_000
const KEY_CHARS = 32

const random = (): string => randomBytes(KEY_CHARS / 2).toString('hex')

/** Nanoseconds of the middle half: what other programs of the machine add is at the ends. */
function middle(times: readonly number[]): { readonly mean: number; readonly spread: number } {
  const sorted = times.toSorted((a, b) => a - b)
  const half = sorted.slice(sorted.length / 4, (sorted.length * 3) / 4)
  const mean = half.reduce((sum, time) => sum + time, 0) / half.length
  return { mean, spread: (half.at(-1) ?? 0) - (half[0] ?? 0) }
}

t.test('a known key, one that begins like it and any other take as long, within the noise', async t => {
  const known = random()
  const keys = [known, ...Array.from({ length: 200 }, random)]
  const ring = new KeyRing(keys.map(key => ({ name: 'a', digest: digestOf(key), grants: NO_GRANTS_LIMIT })))
  const kinds = [
    { shown: () => known, times: [] as number[] },
    { shown: () => `${known.slice(0, -1)}${known.endsWith('0') ? '1' : '0'}`, times: [] as number[] },
    { shown: random, times: [] as number[] },
  ]
  const timed = (shown: string): number => {
    const startNs = process.hrtime.bigint()
    ring.find(shown)
    return Number(process.hrtime.bigint() - startNs)
  }
  for (let warmUp = 0; warmUp < TRIES; warmUp += 1) timed(kinds[warmUp % kinds.length]?.shown() ?? '')
  // In turns, so that whatever the machine does hits all alike.
  for (let round = 0; round < TRIES; round += 1) {
    for (const { shown, times } of kinds) {
      const key = shown()
      times.push(timed(key))
    }
  }
  const [first = { mean: 0, spread: 0 }, ...others] = kinds.map(({ times }) => middle(times))
  t.comment(kinds.map(({ times }) => Math.round(middle(times).mean)).join(' ns, '))
  for (const { mean, spread } of others) {
    t.ok(Math.abs(mean - first.mean) < Math.max(spread, first.spread), `${mean} ns against ${first.mean} ns`)
  }
})

t.test('keys of any length are looked up', async t => {
  const ring = new KeyRing([])
  for (const length of [0, 1, 31, 32, 33, 4000]) t.equal(ring.find('x'.repeat(length)), null)
})
