/**
 * The public API. Everything else is internal and may change in any version.
 *
 *     const relay = createRelay({ port: 8080 }, { env: process.env })
 *     const { url } = await relay.start()
 */
export { createRelay, type Relay, type RelayAddresses, type RelayDependencies } from './relay.ts'
export { type RelayOptions } from './config/options.ts'
export { ConfigError, type ConfigProblem } from './config/problems.ts'
export { ERRORS, ERROR_CODES, RelayError, type ErrorCode, type ErrorDefinition } from './errors.ts'
export { createEmulator, type Emulator, type EmulatorOptions } from './emulator/index.ts'
export { createLogger, type Logger } from './log.ts'
export type { Handshake } from './server/handshake.ts'
export type { Authorize } from './server/options.ts'
export type { StreamQuery, StreamRequest } from './protocol/stream-request.ts'
export { VERSION } from './version.ts'
