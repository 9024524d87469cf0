/**
 * Objects that hold a secret do not show it when they are printed: not by `util.inspect` (which is how errors, assertions and
 * debuggers print), not by `JSON.stringify`, not in a template.
 *
 * Nothing that is logged should get so far (`log/redaction.ts`); this is for what slips into a message by mistake.
 */
import { inspect } from 'node:util'

/**
 * The object itself, which from now on prints as `shown`. Its members are as they were. A copy made by spreading prints
 * everything again.
 */
export function printedAs<Value extends object>(value: Value, shown: string): Value {
  const print = (): string => shown
  return Object.defineProperties(value, {
    toString: { value: print },
    toJSON: { value: print },
    [inspect.custom]: { value: print },
  })
}
