/** `npm run bench:report`: bench/results/*.json to docs/performance.md and its charts. Needs no bench to be run again. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { prettify, readResults, RESULTS_DIRECTORY, ROOT_DIRECTORY } from '../results-format.ts'
import { renderPage } from './page.ts'

const PAGE_NAME = 'performance'

const { values } = parseArgs({
  options: {
    results: { type: 'string', default: RESULTS_DIRECTORY },
    output: { type: 'string', default: join(ROOT_DIRECTORY, 'docs') },
  },
})

const resultFiles = readdirSync(values.results).filter(name => name.endsWith('.json'))
const { markdown, charts } = renderPage(
  resultFiles.map(name => readResults(join(values.results, name))),
  PAGE_NAME,
)
const pagePath = join(values.output, `${PAGE_NAME}.md`)
const chartDirectory = join(values.output, PAGE_NAME)
// Charts of results that are gone go too.
rmSync(chartDirectory, { recursive: true, force: true })
mkdirSync(chartDirectory, { recursive: true })
for (const [name, svg] of charts) writeFileSync(join(chartDirectory, name), svg)
writeFileSync(pagePath, await prettify(markdown, pagePath))
process.stdout.write(
  `${basename(pagePath)}: ${resultFiles.length} results, ${charts.size} charts, in ${values.output}\n`,
)
