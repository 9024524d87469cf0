/** A relay with the options of the command line (JSON). Says where it is, and ends with its parent. */
import type { RelayOptions } from '../../src/config/options.ts'
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import { createRelay } from '../../src/relay.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as Partial<RelayOptions>
const relay = createRelay(
  { host: '127.0.0.1', port: 0, opsHost: '127.0.0.1', opsPort: 0, logLevel: 'fatal', ...options },
  { credentials: EXAMPLE_ACCOUNT },
)
process.on('disconnect', () => void relay.close())
process.send?.(await relay.start())
