/** Fresh tokens from the side of the session: every outcome of the check, also when it comes late. */
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import type { ClientAccess } from '../../src/session/host.ts'
import { defer } from '../support/deferred.ts'
import { startSession } from '../support/session-harness.ts'

const MESSAGE = '{"type":"Authenticate","token":"t"}'

function startWithAccess(renew: ClientAccess['renew']) {
  const access: ClientAccess = {
    principal: 'clinic',
    method: 'jwt',
    refusalOf: () => null,
    endOf: () => null,
    takeWarning: () => null,
    renew,
  }
  return startSession('', {}, { access }).opened()
}

t.test('a token that cannot be checked now is no reason to end', async t => {
  const { client, session } = startWithAccess(async () => {
    throw new RelayError('auth_unavailable')
  })
  session.clientOnText(MESSAGE)
  await new Promise(resolve => setImmediate(resolve))
  t.match(client.last, { type: 'Warning', code: 'token_not_checked' })
  t.equal(client.closed, null)
})

t.test('a bug in the check is internal', async t => {
  const { client, log, session } = startWithAccess(async () => {
    throw new TypeError('bug')
  })
  session.clientOnText(MESSAGE)
  await new Promise(resolve => setImmediate(resolve))
  t.match(client.closed, { code: 1011, reason: 'internal' })
  t.equal(log.failures.length, 1)
})

t.test('an answer after the end is nothing', async t => {
  for (const settle of ['resolve', 'reject'] as const) {
    const answer = defer<number | null>()
    const { client, session } = startWithAccess(() => answer.promise)
    session.clientOnText(MESSAGE)
    session.abort('drain_deadline')
    const said = client.messages.length
    if (settle === 'resolve') answer.resolve(null)
    else answer.reject(new RelayError('token_invalid'))
    await new Promise(resolve => setImmediate(resolve))
    t.equal(client.messages.length, said)
    t.match(client.closed, { code: 1012 })
  }
})

t.test('without a guard there is nobody to show a token to', async t => {
  const { client, dial, session } = startSession().opened()
  session.clientOnText(MESSAGE)
  t.equal(session.state, 'finishing')
  dial.close(1000)
  t.match(client.closed, { code: 4400, reason: 'bad_control_message' })
})
