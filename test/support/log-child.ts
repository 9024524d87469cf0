/**
 * A process that logs to whatever its standard output is: 50 lines once its input ends, then what became of them, as
 * JSON on the standard error.
 */
import { once } from 'node:events'
import { createLogger } from '../../src/log.ts'

const logger = createLogger({ level: 'info', version: '0.0.0' })
process.stdin.resume()
await once(process.stdin, 'end')
for (let line = 0; line < 25; line++) logger.info('before', { line })
await logger.flush(10_000)
for (let line = 0; line < 25; line++) logger.info('after', { line })
await logger.flush(10_000)
process.stderr.write(JSON.stringify({ lines: logger.lines.info, lost: logger.lostLines() }))
