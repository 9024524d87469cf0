/**
 * The language of faults: which connection, and what goes wrong on it. A script is data (JSON or an object), checked
 * here once; `fault-script.ts` decides, `fault-actions.ts` does.
 *
 * A connection is one request at the WebSocket path, counted from 1 in the order of arrival. `atSeconds` is a position
 * in the audio received, not a time: 0 is right after the handshake, before any audio.
 */
import { z } from 'zod'

const MAX_AT_SECONDS = 14_400
const MAX_DELAY_MS = 600_000
const MAX_FAULT_BYTES = 64 * 1024 * 1024

const atSeconds = z.number().min(0).max(MAX_AT_SECONDS).default(0)
const delayMs = z.number().int().min(0).max(MAX_DELAY_MS)
const closeCode = z
  .number()
  .int()
  .min(1000)
  .max(4999)
  .refine(code => ![1004, 1005, 1006, 1015].includes(code) && !(code > 1015 && code < 3000), {
    message: 'is a close code that may not be sent',
  })
const closeReason = z
  .string()
  .refine(text => Buffer.byteLength(text) <= 123, { message: 'must have at most 123 bytes' })
const text = z.string().max(1024)

const actions = [
  // Instead of the handshake, or before it
  z.strictObject({ do: z.literal('refuse') }),
  z.strictObject({
    do: z.literal('httpStatus'),
    status: z.number().int().min(300).max(599),
    headers: z
      .record(
        z.string().regex(/^[A-Za-z0-9-]{1,64}$/),
        z
          .string()
          .max(1024)
          .regex(/^[\x20-\x7e]*$/),
      )
      .default({}),
    body: z
      .string()
      .max(64 * 1024)
      .default(''),
  }),
  z.strictObject({ do: z.literal('stallHandshake') }),
  z.strictObject({ do: z.literal('slowHandshake'), delayMs }),
  z.strictObject({ do: z.literal('clockSkew'), skewMs: z.number().int().min(-86_400_000).max(86_400_000) }),
  z.strictObject({ do: z.literal('expiredToken') }),
  // In the stream, at a position of the audio
  z.strictObject({
    do: z.literal('exception'),
    name: z.string().regex(/^[A-Za-z]{1,64}$/),
    message: text.optional(),
    closeCode: closeCode.default(1000),
    atSeconds,
  }),
  z.strictObject({
    do: z.literal('errorMessage'),
    code: text.default('InternalError'),
    message: text.default('An internal error occurred.'),
    atSeconds,
  }),
  z.strictObject({ do: z.literal('close'), code: closeCode, reason: closeReason.default(''), atSeconds }),
  z.strictObject({ do: z.literal('reset'), atSeconds }),
  z.strictObject({ do: z.literal('fin'), atSeconds }),
  z.strictObject({ do: z.literal('stopReading'), atSeconds }),
  z.strictObject({ do: z.literal('mute'), atSeconds }),
  z.strictObject({
    do: z.literal('garbage'),
    bytes: z.number().int().min(1).max(65_536).default(64),
    atSeconds,
  }),
  z.strictObject({ do: z.literal('badPreludeCrc'), atSeconds }),
  z.strictObject({ do: z.literal('badMessageCrc'), atSeconds }),
  z.strictObject({ do: z.literal('truncatedMessage'), atSeconds }),
  z.strictObject({
    do: z.literal('textFrame'),
    text: text.default('{"message":"not an event stream"}'),
    atSeconds,
  }),
  z.strictObject({
    do: z.literal('oversizeFrame'),
    bytes: z
      .number()
      .int()
      .min(1)
      .max(MAX_FAULT_BYTES)
      .default(20 * 1024 * 1024),
    atSeconds,
  }),
  z.strictObject({ do: z.literal('compressedFrame'), atSeconds }),
  z.strictObject({
    do: z.literal('fragments'),
    count: z.number().int().min(2).max(1_000_000).default(100_000),
    atSeconds,
  }),
  z.strictObject({ do: z.literal('unknownEventType'), atSeconds }),
  z.strictObject({ do: z.literal('unknownMessageType'), atSeconds }),
  z.strictObject({ do: z.literal('flood'), results: z.number().int().min(1).max(1_000_000), atSeconds }),
  // To the results
  z.strictObject({ do: z.literal('dropAfterResults'), results: z.number().int().min(0).max(1_000_000) }),
  z.strictObject({ do: z.literal('delayFinals'), delayMs }),
] as const

const actionSchema = z.discriminatedUnion('do', actions)

const matchSchema = z.strictObject({
  /** Only this connection. */
  connection: z.number().int().min(1).optional(),
  /** Every n-th connection: n, 2n, 3n … */
  every: z.number().int().min(1).optional(),
  /** Each connection with this chance, drawn from the script's seed. */
  probability: z.number().min(0).max(1).optional(),
  /** Not after the rule applied so often. */
  times: z.number().int().min(1).optional(),
})

const ruleSchema = z.strictObject({
  /** All conditions must hold; without any, the rule applies to every connection. */
  match: matchSchema.default({}),
  action: actionSchema,
})

const scriptSchema = z.strictObject({
  /** Start of the random numbers: the same seed gives the same faults in the same order. */
  seed: z.number().int().min(0).max(0xffff_ffff).default(1),
  rules: z.array(ruleSchema).max(256).default([]),
})

/** What goes wrong; `do` names it. The list with explanations is in docs/emulator.md. */
export type FaultAction = z.output<typeof actionSchema>
/** A script as it is written, with defaults left out. */
export type FaultScriptInput = z.input<typeof scriptSchema>
export type FaultScriptData = z.output<typeof scriptSchema>

/** Names of all faults, for the documentation test and for help texts. */
export const FAULT_NAMES: readonly FaultAction['do'][] = Object.freeze(
  actions.map(action => action.shape.do.value),
)

/** A fault script that breaks the rules. The text names each place and what must hold there. */
export class FaultScriptError extends Error {
  override readonly name = 'FaultScriptError'
}

/** Checks a script that came as data. Throws `FaultScriptError`. */
export function parseFaultScript(input: unknown): FaultScriptData {
  const checked = scriptSchema.safeParse(input)
  if (checked.success) return checked.data
  const lines = checked.error.issues.map(issue => `${issue.path.join('.') || 'script'}: ${issue.message}`)
  throw new FaultScriptError(`The fault script is not valid. ${lines.join('; ')}`)
}
