/**
 * The streaming operations that are reached over WebSocket: path, parameters, rules between them.
 *
 * Source: Developer Guide, "Setting up a WebSocket stream".
 */
import { STANDARD_RULES } from './parameter-rules.ts'
import type { CombinationRule } from './parameter-rules.ts'
import { STANDARD_PARAMETERS } from './parameter-table.ts'
import type { ParameterTable } from './parameter-table.ts'

export interface Operation {
  /** Path of the upstream URL. Nothing in it needs escaping. */
  readonly path: string
  readonly parameters: ParameterTable
  readonly rules: readonly CombinationRule[]
}

export type OperationName = 'standard'

export const OPERATIONS: Readonly<Record<OperationName, Operation>> = Object.freeze({
  standard: {
    path: '/stream-transcription-websocket',
    parameters: STANDARD_PARAMETERS,
    rules: STANDARD_RULES,
  },
})
