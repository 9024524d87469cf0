/** What `/metrics` says, as numbers by series, and what has changed between two looks. */
import { get } from 'node:http'

const PREFIX = 'transcribe_relay_'

/** By series without the prefix, labels sorted: `sessions_closed_total{class="ok",reason="normal"}`. */
export type MetricValues = ReadonlyMap<string, number>

/** Connects for this one answer, so that no kept-alive socket disturbs who counts sockets. */
export async function scrapeMetrics(opsUrl: string): Promise<MetricValues> {
  return parseMetrics(await fetchText(`${opsUrl}/metrics`))
}

export function parseMetrics(text: string): MetricValues {
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (match === null || !line.startsWith(PREFIX)) continue
    const [, name = '', labels = '', value = ''] = match
    const sorted = labels.split(',').toSorted().join(',')
    values.set(`${name.slice(PREFIX.length)}${sorted === '' ? '' : `{${sorted}}`}`, parseValue(value))
  }
  return values
}

/** The counters of these families that grew, by how much. */
export function growth(
  before: MetricValues,
  after: MetricValues,
  families: readonly string[],
): Record<string, number> {
  const changes: Record<string, number> = {}
  for (const [series, value] of after) {
    const change = value - (before.get(series) ?? 0)
    if (change !== 0 && families.includes(series.replace(/\{.*/, ''))) changes[series] = change
  }
  return changes
}

export async function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}

function parseValue(text: string): number {
  return text === '+Inf' ? Infinity : Number(text)
}
