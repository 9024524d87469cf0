/**
 * Loaded into a process before it starts (`--import`): on SIGHUP it tells on the standard error which packages it has
 * loaded so far, as one line of JSON.
 */
import { createRequire } from 'node:module'

const { cache } = createRequire(import.meta.url)

process.on('SIGHUP', () => {
  const names = Object.keys(cache).flatMap(path => {
    const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path) ?? []
    return name === undefined ? [] : [name]
  })
  process.stderr.write(`loaded ${JSON.stringify([...new Set(names)].toSorted())}\n`)
})
