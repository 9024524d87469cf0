/**
 * Metrics of the process and of Node.js (`process_*`, `nodejs_*`), made once a process: they start observers that
 * cannot be stopped, and say the same to every relay in the process.
 */
import { Registry, collectDefaultMetrics } from 'prom-client'

/**
 * Left out: gauges whose name says counter, and which walk over every open handle at each scrape; 27 series of the spaces
 * of the heap, whose sum is there.
 */
const LEFT_OUT = [
  'nodejs_heap_space_size_total_bytes',
  'nodejs_heap_space_size_used_bytes',
  'nodejs_heap_space_size_available_bytes',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
] as const

let shared: Registry | null = null

export function processMetrics(): Registry {
  if (shared !== null) return shared
  shared = new Registry()
  collectDefaultMetrics({ register: shared })
  for (const name of LEFT_OUT) shared.removeSingleMetric(name)
  return shared
}
