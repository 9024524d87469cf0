/**
 * Writes the chart's Grafana dashboard from its table of panels: run it after a change of `scripts/dashboard/`.
 *
 *     node --import tsx scripts/dashboard.ts
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { renderDashboard } from './dashboard/grafana.ts'

export const DASHBOARD_FILE = fileURLToPath(
  new URL('../helm/transcribe-relay/files/dashboard.json', import.meta.url),
)

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(DASHBOARD_FILE, renderDashboard())
