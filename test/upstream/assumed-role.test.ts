/** The role of a region, against an AWS STS of the test's own. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createRoleProvider } from '../../src/upstream/credential-chain.ts'

const ROLE = 'arn:aws:iam::111122223333:role/relay'

function answer(expiresAt: string): string {
  return `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>${ROLE}</Arn><AssumedRoleId>ID:transcribe-relay</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>${expiresAt}</Expiration></Credentials>
</AssumeRoleResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>`
}

t.test('a role is assumed with the credentials of the relay and the external id, each time anew', async t => {
  const asked: { body: string; authorization: string }[] = []
  const forced: unknown[] = []
  let masters = 0
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', () => {
      asked.push({ body, authorization: request.headers.authorization ?? '' })
      response.setHeader('content-type', 'text/xml')
      response.end(answer(expiresAt))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const provider = createRoleProvider({
    arn: ROLE,
    externalId: 'speech',
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${port}`,
    master: async options => {
      masters += 1
      forced.push(options?.forceRefresh)
      return { accessKeyId: `AKIDMASTER${masters}`, secretAccessKey: 'secret', sessionToken: 'master-token' }
    },
  })
  const credentials = await provider()
  t.match(credentials, { accessKeyId: 'ASIAROLE', secretAccessKey: 'secret', sessionToken: 'token' })
  t.equal(credentials.expiration?.toISOString(), expiresAt)
  await provider()
  t.equal(asked.length, 2)
  const query = new URLSearchParams(asked[0]?.body)
  t.equal(query.get('RoleArn'), ROLE)
  t.equal(query.get('ExternalId'), 'speech')
  t.equal(query.get('RoleSessionName'), 'transcribe-relay')
  t.match(asked[1]?.authorization, /Credential=AKIDMASTER2\//, 'those of the first time may be over by now')
  t.strictSame(forced, [true, true])
  t.match(asked[0]?.authorization, /Credential=AKIDMASTER1\/\d+\/eu-west-1\/sts\//)
  const plain = createRoleProvider({
    arn: ROLE,
    externalId: null,
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${port}`,
    master: async () => ({ accessKeyId: 'AKIDMASTER', secretAccessKey: 'secret' }),
  })
  await plain()
  t.equal(new URLSearchParams(asked[2]?.body).get('ExternalId'), null)
})
