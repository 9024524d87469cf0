import { inspect } from 'node:util'
import t from 'tap'
import { systemClock } from '../src/clock.ts'
import { readClientMessage } from '../src/protocol/client-messages.ts'
import { printedAs } from '../src/secret.ts'
import { createStaticCredentials } from '../src/upstream/credentials.ts'
import { PresignedUrl } from '../src/upstream/presigned-url.ts'
import { startServer } from './support/client-server.ts'
import { knock } from './support/knock.ts'

const CANARY = 'canary-5f0e'

/** Every way in which an object gets into a text by mistake. */
function printings(value: object): string[] {
  return [
    ''.concat(value as unknown as string),
    JSON.stringify(value),
    JSON.stringify({ deep: [value] }),
    inspect(value),
    inspect({ deep: { er: [value] } }, { depth: 10, showHidden: true }),
    inspect(new Error('x', { cause: value })),
  ]
}

t.test('an object with a secret prints what it is told to print, and works as before', async t => {
  const value = printedAs({ token: CANARY }, 'Token(…)')
  for (const text of printings(value)) t.notMatch(text, CANARY)
  t.equal(''.concat(value as unknown as string), 'Token(…)')
  t.strictSame(Object.keys(value), ['token'])
  t.equal(value.token, CANARY)
})

t.test('requests, credentials, presigned URLs and tokens of messages print no secret (OB-04)', async t => {
  const seen: object[] = []
  const { port } = await startServer(t, { authorize: handshake => void seen.push(handshake) })
  const authorization = `Bearer ${CANARY}`
  const { answer } = await knock(t, port, { path: `/v1/stream`, headers: { authorization } })
  t.equal(answer.status, 101)
  t.match(seen, [{ headers: new Map([['authorization', authorization]]) }])
  const credentials = await createStaticCredentials(
    { accessKeyId: `AKIA${CANARY}`, secretAccessKey: CANARY, sessionToken: CANARY },
    systemClock,
  ).get()
  t.equal(credentials.secretAccessKey, CANARY)
  const message = readClientMessage(`{"type":"Authenticate","token":"${CANARY}"}`)
  t.match(message, { message: { token: CANARY } })
  const secrets = [...seen, credentials, message, new PresignedUrl(`wss://x/?X-Amz-Signature=${CANARY}`)]
  for (const secret of secrets) for (const text of printings(secret)) t.notMatch(text, CANARY)
})
