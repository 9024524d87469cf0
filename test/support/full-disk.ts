/**
 * Loaded into a process before it starts (`--import`): on SIGHUP its standard output becomes a disk that is full, which
 * it tells on the standard error.
 */
import { closeSync, openSync } from 'node:fs'

const STANDARD_OUTPUT = 1

process.on('SIGHUP', () => {
  closeSync(STANDARD_OUTPUT)
  // The lowest number that is free.
  const fd = openSync('/dev/full', 'w')
  process.stderr.write(`descriptor ${fd} is a full disk\n`)
})
