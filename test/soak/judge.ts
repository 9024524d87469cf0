/**
 * Whether a relay that was made to work again and again is still what it was: memory, descriptors, timers, listeners.
 *
 * Samples are taken while nothing is going on and after a forced collection, so what is left is what somebody holds.
 * The slope of the memory comes with its 95 % interval: a short run cannot tell 1 MB/h from noise, and does not claim to.
 * What it can tell is a leak of each session: the growth is compared with the number of sessions too.
 */
export interface SoakSample {
  readonly seconds: number
  /** Sessions ended so far. */
  readonly sessions: number
  /** In use after a collection: heap, and buffers outside of it. */
  readonly liveBytes: number
  readonly rssBytes: number
  readonly descriptors: number
  /** By kind: timers, sockets, whatever keeps the loop alive. */
  readonly resources: Readonly<Record<string, number>>
  /** Of the process object. */
  readonly listeners: number
}

export interface Slope {
  readonly mbPerHour: number
  /** Half of the 95 % interval. */
  readonly uncertainty: number
}

export interface SoakVerdict {
  readonly problems: readonly string[]
  readonly samples: number
  readonly sessions: number
  readonly live: Slope
  readonly rss: Slope
  readonly bytesPerSession: number
}

/** Of the samples: caches fill, code is compiled. */
const WARM_UP_SHARE = 1 / 3
const MIN_SAMPLES = 4
/** Of the samples after the warm-up, at each end: what is compared to tell growth. */
const END_SHARE = 1 / 4
const MAX_MB_PER_HOUR = 1
/** Much less than a session's objects: what a session may leave behind is nothing. Certain, as above. */
const MAX_BYTES_PER_SESSION = 400
/** Code is still being compiled after any warm-up, and an allocator keeps what it may need again. */
const LIVE_NOISE_BYTES = 1_000_000
const RSS_NOISE_BYTES = 8_000_000
/** An idle keep-alive of a scrape, a socket that is closing. */
const MAX_MORE_RESOURCES = 2
const MB = 1e6

export function judgeSoak(samples: readonly SoakSample[]): SoakVerdict {
  const settled = samples.slice(Math.floor(samples.length * WARM_UP_SHARE))
  const [first] = settled
  const last = settled.at(-1)
  if (first === undefined || last === undefined || settled.length < MIN_SAMPLES) {
    throw new RangeError(`a soak needs ${MIN_SAMPLES} samples after the warm-up, got ${settled.length}`)
  }
  const live = slopeOf(settled, liveBytesOf)
  const rss = slopeOf(settled, rssBytesOf)
  const each = fitLine(settled.map(({ liveBytes, sessions }) => ({ x: sessions, y: liveBytes })))
  const leastBytes = each.slope - each.uncertainty
  const problems: string[] = []
  for (const { bytesOf, name, noiseBytes, slope } of [
    { name: 'live memory', slope: live, bytesOf: liveBytesOf, noiseBytes: LIVE_NOISE_BYTES },
    { name: 'RSS', slope: rss, bytesOf: rssBytesOf, noiseBytes: RSS_NOISE_BYTES },
  ]) {
    const { mbPerHour, uncertainty } = slope
    const isCertain = mbPerHour - uncertainty > MAX_MB_PER_HOUR
    if (isCertain && growthOf(settled, bytesOf) > noiseBytes) {
      problems.push(`${name} grows by ${mbPerHour.toFixed(1)} ± ${uncertainty.toFixed(1)} MB/h`)
    }
  }
  if (leastBytes > MAX_BYTES_PER_SESSION && growthOf(settled, liveBytesOf) > LIVE_NOISE_BYTES) {
    const bytes = `${Math.round(each.slope)} ± ${Math.round(each.uncertainty)} bytes`
    problems.push(`each of ${last.sessions - first.sessions} sessions left ${bytes} behind`)
  }
  for (const name of ['descriptors', 'listeners'] as const) {
    if (last[name] > first[name] + MAX_MORE_RESOURCES) {
      problems.push(`${name} went from ${first[name]} to ${last[name]}`)
    }
  }
  for (const [kind, count] of Object.entries(last.resources)) {
    const before = first.resources[kind] ?? 0
    if (count > before + MAX_MORE_RESOURCES) problems.push(`${kind} went from ${before} to ${count}`)
  }
  return {
    problems,
    samples: settled.length,
    sessions: last.sessions,
    live,
    rss,
    bytesPerSession: each.slope,
  }
}

function liveBytesOf({ liveBytes }: SoakSample): number {
  return liveBytes
}

function rssBytesOf({ rssBytes }: SoakSample): number {
  return rssBytes
}

/**
 * From the median of the first samples to that of the last: one sample that was taken after a bad minute, with the pools of
 * memory full, is no growth.
 */
function growthOf(samples: readonly SoakSample[], valueOf: (sample: SoakSample) => number): number {
  const count = Math.max(1, Math.floor(samples.length * END_SHARE))
  return medianOf(samples.slice(-count).map(valueOf)) - medianOf(samples.slice(0, count).map(valueOf))
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
}

function slopeOf(samples: readonly SoakSample[], bytesOf: (sample: SoakSample) => number): Slope {
  const { slope, uncertainty } = fitLine(
    samples.map(sample => ({ x: sample.seconds / 3600, y: bytesOf(sample) / MB })),
  )
  return { mbPerHour: slope, uncertainty }
}

interface Point {
  readonly x: number
  readonly y: number
}

/** Least squares, with half of the 95 % interval of the slope. */
function fitLine(points: readonly Point[]): { slope: number; uncertainty: number } {
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  if (spread === 0) return { slope: 0, uncertainty: Infinity }
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
  const residue = points.reduce((sum, { x, y }) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  // Twice the standard error, a little more for the few samples of a short run.
  const width = 1.96 + 6 / (points.length - 2)
  return { slope, uncertainty: width * Math.sqrt(residue / (points.length - 2) / spread) }
}
