/** Programs that some tests need and not every machine has. */
import { spawnSync } from 'node:child_process'

/**
 * Whether a program is there. Without it a test has nothing to look at and says so; where the tests decide over a
 * change (`CI=true`) that is a failure.
 */
export function hasProgram(
  t: { comment(text: string): void; fail(text: string): unknown },
  program: string,
  debianPackage = program,
): boolean {
  if (spawnSync(program, ['--version']).error === undefined) return true
  const text = `${program} is not installed (apt-get install ${debianPackage}); nothing was checked`
  if (process.env['CI'] === 'true') t.fail(text)
  else t.comment(text)
  return false
}
