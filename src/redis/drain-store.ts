/**
 * What operators said last of each region, kept in Redis for all relays of a prefix:
 *
 *     <prefix>drains   hash: region → `1 1763800000000` (draining) or `0 …` (not any more), and since when, ms since 1970
 *
 * An end is kept like a drain, so that an emptied Redis is not taken for one. Of two words about a region the later one
 * counts, by the time of Redis.
 */
import { RedisScript } from './connection.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisFailures } from './failures.ts'

/**
 * Triples of region, `0` or `1`, and when: a time that Redis gave before, `-ms` for so long ago, `0` for now. What is said
 * now counts, even where the clock of Redis went back.
 */
const EXCHANGE = new RedisScript(
  `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index = 1, #ARGV, 3 do
  local kept = redis.call('HGET', KEYS[1], ARGV[index])
  local keptAt = kept and tonumber(string.sub(kept, 3)) or -1
  local at = tonumber(ARGV[index + 2])
  if at == 0 then at = math.max(now, keptAt + 1) elseif at < 0 then at = now + at end
  if at > keptAt then
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1] .. ' ' .. string.format('%.0f', at))
  end
end
return redis.call('HGETALL', KEYS[1])`,
  1,
)

const KEPT = /^([01]) (\d{1,16})$/

export interface DrainStoreOptions {
  readonly connection: RedisConnection
  readonly failures: RedisFailures
  readonly prefix: string
}

interface DrainWord {
  readonly region: string
  readonly isDraining: boolean
  /** Positive: ms since 1970, as the store told it. Not positive: said `-atMs` ago. */
  readonly atMs: number
}

export class RedisDrainStore {
  readonly #options: DrainStoreOptions

  constructor(options: DrainStoreOptions) {
    this.#options = options
  }

  /** Tells what is known here; resolves with the last word about every region. Rejects when Redis does not answer. */
  async exchange(words: readonly DrainWord[]): Promise<readonly DrainWord[]> {
    const { connection, failures, prefix } = this.#options
    // That it cannot connect is counted and told where it tries.
    if (!connection.isReady) throw new Error('not connected')
    const args = words.flatMap(({ atMs, isDraining, region }) => [
      region,
      isDraining ? 1 : 0,
      Math.round(atMs),
    ])
    try {
      return parseWords(await connection.run(EXCHANGE, [`${prefix}drains`, ...args]))
    } catch (error) {
      failures.note('drains', error)
      throw error
    }
  }
}

/** Whatever else somebody wrote there is nobody's word. */
function parseWords(reply: unknown): readonly DrainWord[] {
  const texts = Array.isArray(reply) ? reply.map(String) : []
  const words: DrainWord[] = []
  for (let index = 0; index + 1 < texts.length; index += 2) {
    const [, state, at] = KEPT.exec(texts[index + 1] ?? '') ?? []
    if (at !== undefined)
      words.push({ region: texts[index] ?? '', isDraining: state === '1', atMs: Number(at) })
  }
  return words
}
