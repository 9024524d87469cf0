/**
 * Loaded into a relay before it starts (`--import`): bugs that can be set off from outside, in one session by what its
 * client says, in the process by a signal.
 */
import { Session } from '../../src/session/session.ts'

/** Thrown while this is handled. */
const BUG_IN_SESSION = 'bug-in-session'
/** Rejected, with nobody who looks. */
const BUG_OF_NOBODY = 'bug-of-nobody'

// Called with `call` only.
// oxlint-disable-next-line typescript/unbound-method
const { clientOnText } = Session.prototype

Session.prototype.clientOnText = function (this: Session, text: string): void {
  if (text === BUG_IN_SESSION) throw new TypeError('made for a test')
  if (text === BUG_OF_NOBODY) void Promise.reject(new TypeError('made for a test'))
  else clientOnText.call(this, text)
}

process.on('SIGUSR2', () => {
  throw new TypeError('made for a test')
})
