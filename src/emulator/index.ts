/** A local Amazon Transcribe streaming service: what other parts of the project, and other projects, may use of it. */
export { EXAMPLE_ACCOUNT, type Account, type SessionToken } from './accounts.ts'
export { createEmulator, type Emulator, type EmulatorAddress, type EmulatorEvents } from './emulator.ts'
export type { Engine, EngineFactory, EngineListener, EngineStream } from './engine.ts'
export {
  createPocketsphinxEngine,
  detectPocketsphinx,
  type PocketsphinxOptions,
} from './engines/pocketsphinx.ts'
export { createScriptedEngine, type ScriptedOptions, type SpokenText } from './engines/scripted.ts'
export type { HandshakeRefusal, StreamException } from './exceptions.ts'
export {
  FAULT_NAMES,
  FaultScriptError,
  parseFaultScript,
  type FaultAction,
  type FaultScriptInput,
} from './faults.ts'
export {
  EMULATOR_OPTIONS,
  type EmulatorLog,
  type EmulatorOptionDefinition,
  type EmulatorOptions,
  type PlainOptionName,
} from './options.ts'
export { loadRecordings, type Recording } from './recordings.ts'
export type { CloseCause, StreamRecord } from './stream-record.ts'
export type { WireAlternative, WireEntity, WireItem, WireResult } from './wire-results.ts'
