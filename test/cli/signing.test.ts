import { join } from 'node:path'
import t from 'tap'
import { presignCommand } from '../../src/cli/presign.ts'
import { MAX_BODY_BYTES, signCommand } from '../../src/cli/sign.ts'
import { memoryContext, NO_AWS, runCli, TEST_KEYS } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { verifyPresigned, verifySignedRequest } from '../support/sigv4.ts'

const VECTOR_TIME = Date.UTC(2025, 0, 2, 3, 4, 5, 678)
const A = ['language-code=en-US', 'media-encoding=pcm', 'sample-rate=16000']

/** The credential chain reads the environment of the process: these tests have it for themselves. */
function withEnvironment(values: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name]
  for (const [name, value] of Object.entries({ ...NO_AWS, ...values })) {
    if (value !== undefined) process.env[name] = value
  }
}

async function presign(args: readonly string[], timeMs = VECTOR_TIME) {
  const context = memoryContext({ clock: new ManualClock(timeMs) })
  const code = await presignCommand.run(args, context)
  return { code, ...context.output }
}

async function sign(args: readonly string[], timeMs: number, stdin: readonly Uint8Array[] = []) {
  const context = memoryContext({ clock: new ManualClock(timeMs), stdin })
  await signCommand.run(args, context)
  return context.output
}

t.beforeEach(() => withEnvironment(TEST_KEYS))

t.test('presign gives the known signatures', async t => {
  const a = await presign([...A, '--region', 'us-east-1', '--expires', '300'])
  t.equal(a.code, 0)
  t.match(a.stdout, /X-Amz-Signature=33b6af0c691ab758880881750f41f2ae5f28cf7db6557a42094678e7137ed06a/)
  t.match(a.stderr, /This URL is a credential.* 300 s/)
  withEnvironment({ ...TEST_KEYS, AWS_SESSION_TOKEN: 'IQoJb3JpZ2luX2VjE/+EXAMPLE/TOKEN==' })
  const b = await presign([
    '--region',
    'us-east-1',
    '--expires',
    '300',
    '--identify-language',
    '--language-options',
    'en-US,fr-FR',
    '--sample-rate=8000',
    'media-encoding=pcm',
    'session-id=11111111-2222-3333-4444-555555555555',
  ])
  t.match(b.stdout, /X-Amz-Signature=404af28c857b793329a8e61c811cb62bd88783fb1eed241f5b2af8b63c247c20/)
})

t.test('presign finds other places and other services', async t => {
  const fips = await presign([...A, '--region', 'us-east-1', '--fips'])
  t.match(fips.stdout, /^wss:\/\/transcribestreaming-fips\.us-east-1\.amazonaws\.com:8443\/stream/)
  const local = await presign([...A, '--region', 'us-east-1', '--endpoint', 'ws://127.0.0.1:9443'])
  t.match(local.stdout, /^ws:\/\/127\.0\.0\.1:9443\/stream-transcription-websocket\?/)
  const analyzer = await presign([
    '--region',
    'us-east-1',
    '--service',
    'iotwireless',
    '--path',
    '/start-network-analyzer-stream',
    '--host',
    'api.iotwireless.us-east-1.amazonaws.com:443',
    'configuration-name=My Config',
  ])
  t.match(
    analyzer.stdout,
    /^wss:\/\/api\.iotwireless\.us-east-1\.amazonaws\.com\/start-network-analyzer-stream\?.*configuration-name=My%20Config/,
  )
  t.match(analyzer.stdout, /%2Fus-east-1%2Fiotwireless%2Faws4_request/)
})

t.test('presign refuses what cannot work, and says why', async t => {
  const table: readonly [args: string[], name: string, message: RegExp][] = [
    [
      ['language-code=en-US', 'sample-rate=4000'],
      'CommandError',
      /sample-rate must be .*got "4000"\n.*media-encoding must/s,
    ],
    [[...A, '--language-code', 'en-GB'], 'UsageError', /language-code must be given once/],
    [[...A, '--expires', '301'], 'UsageError', /--expires must be a number from 1 to 300/],
    [[...A, '--expires', '1.5'], 'CommandError', /whole number/],
    [[...A, '--host', 'x'], 'UsageError', /--host is for another --service/],
    [[...A, '--region', 'us-west-1'], 'CommandError', /us-west-1/],
    [[...A, '--endpoint', 'ftp://x'], 'CommandError', /endpointOverride/],
    [['--service', 'x', '--fips'], 'UsageError', /--fips is for Amazon Transcribe/],
    [['--service', 'x'], 'UsageError', /needs --host and --path/],
    [['--service', 'X', '--host', 'h', '--path', '/'], 'UsageError', /--service must/],
    [['--service', 'x', '--host', 'h/', '--path', '/'], 'UsageError', /--host must/],
    [['--service', 'x', '--host', 'h', '--path', 'p?'], 'UsageError', /--path must/],
    [
      ['--service', 'x', '--host', 'h', '--path', '/', 'X-Amz-Date=1'],
      'CommandError',
      /belongs to the signature/,
    ],
  ]
  for (const [args, name, message] of table) {
    await t.rejects(presign(['--region', 'us-east-1', ...args]), { name, message }, args.join(' '))
  }
  await t.rejects(presign(A), { name: 'CommandError', message: /No AWS region/ })
  withEnvironment({})
  await t.rejects(presign([...A, '--region', 'us-east-1']), {
    name: 'CommandError',
    message: /no AWS credentials were found/,
  })
  withEnvironment({ ...TEST_KEYS, AWS_ACCESS_KEY_ID: 'ASIAEXAMPLE' })
  await t.rejects(presign([...A, '--region', 'us-east-1']), {
    name: 'CommandError',
    message: /ASIA.*AWS_SESSION_TOKEN/,
  })
})

t.test('the presign process prints a URL that an independent verifier accepts', async t => {
  const { code, stdout, stderr } = await runCli(['presign', ...A], { ...TEST_KEYS, AWS_REGION: 'eu-west-1' })
  t.equal(code, 0)
  t.notMatch(stderr, TEST_KEYS.AWS_SECRET_ACCESS_KEY)
  const { host } = new URL(stdout)
  t.equal(host, 'transcribestreaming.eu-west-1.amazonaws.com:8443')
  t.ok(verifyPresigned(stdout.trim().slice(`wss://${host}`.length), host, TEST_KEYS.AWS_SECRET_ACCESS_KEY))
})

t.test('temporary keys without their token end the process with that reason', async t => {
  const result: CliResult = await runCli(['presign', '--region', 'us-east-1', ...A], {
    ...TEST_KEYS,
    AWS_ACCESS_KEY_ID: 'ASIAEXAMPLE',
  })
  t.match(result, { code: 1, stdout: '', stderr: /starts with ASIA.*session token/ })
})

t.test('sign gives the signatures of the examples in the Amazon S3 guide', async t => {
  // "Signature Calculations for the Authorization Header": one key, one moment.
  withEnvironment({
    AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  })
  const host = 'https://examplebucket.s3.amazonaws.com'
  const table: readonly [args: string[], signature: string][] = [
    [
      ['GET', `${host}/test.txt`, '-H', 'Range: bytes=0-9'],
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    ],
    [['GET', `${host}/?lifecycle`], 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    [
      ['GET', `${host}/?max-keys=2&prefix=J`],
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ]
  for (const [args, signature] of table) {
    const { stdout, stderr } = await sign(args, Date.UTC(2013, 4, 24))
    t.match(stdout, new RegExp(`authorization: AWS4-HMAC-SHA256 .*Signature=${signature}`), args.join(' '))
    t.match(stderr, /These headers are a credential/)
  }
})

t.test('sign says for what it signed, and what it guesses of a dual-stack host is right', async t => {
  const url = 'https://b.s3.dualstack.eu-west-1.amazonaws.com/a%20b'
  const guessed = await sign(['GET', url], VECTOR_TIME)
  t.match(guessed.stderr, /^Signed for the service s3 in eu-west-1\.$/m)
  const told = await sign(['GET', url, '--service', 's3', '--region', 'eu-west-1'], VECTOR_TIME)
  t.equal(guessed.stdout, told.stdout)
})

t.test('a signed body is good to an independent verifier, from a file and from standard input', async t => {
  const url = 'https://transcribe.us-east-1.amazonaws.com/a%20b?x=1&y=%2F'
  const folder = t.testdir({ 'body.json': '{"a":1}' })
  const args = ['POST', url, '-H', 'X-Amz-Target: Transcribe.ListVocabularies']
  const fromFile = await sign([...args, '--body', join(folder, 'body.json')], VECTOR_TIME)
  const fromInput = await sign([...args, '--body', '-'], VECTOR_TIME, [
    Buffer.from('{"a"'),
    Buffer.from(':1}'),
  ])
  t.equal(fromInput.stdout, fromFile.stdout)
  const headers = Object.fromEntries(
    fromFile.stdout
      .trim()
      .split('\n')
      .map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  ) as Record<string, string>
  const request = { method: 'POST', url, headers, body: '{"a":1}' }
  t.ok(verifySignedRequest(request, TEST_KEYS.AWS_SECRET_ACCESS_KEY))
  t.notOk(verifySignedRequest({ ...request, body: '{"a":2}' }, TEST_KEYS.AWS_SECRET_ACCESS_KEY))
})

t.test('sign can print a curl line that a shell takes apart safely', async t => {
  const folder = t.testdir({ "it's.json": '{}' })
  const { stdout } = await sign(
    [
      'POST',
      'https://transcribe.us-east-1.amazonaws.com/',
      '--body',
      join(folder, "it's.json"),
      '-H',
      "x-note: it's",
      '--curl',
    ],
    VECTOR_TIME,
  )
  t.match(stdout, /^curl --fail-with-body -X POST 'https:\/\/transcribe\.us-east-1\.amazonaws\.com\/' /)
  t.ok(stdout.includes(`-H 'x-note: it'\\''s'`))
  t.ok(stdout.includes(`it'\\''s.json'`))
  t.notMatch(stdout, /-H 'host:/)
})

t.test('sign refuses what cannot work, and says why', async t => {
  const url = 'https://transcribe.us-east-1.amazonaws.com/'
  const table: readonly [args: string[], name: string, message: RegExp][] = [
    [['GET'], 'UsageError', /sign METHOD URL: a word is missing/],
    [['get', url], 'UsageError', /METHOD must be/],
    [['GET', 'https://example.com/'], 'UsageError', /does not tell the service/],
    [['GET', url, '-H', 'secret value'], 'UsageError', /--header must be name:value/],
    [['GET', url, '-H', 'bad name: secret'], 'UsageError', /got "bad name:…"/],
    [['GET', url, '--body', '/nonexistent'], 'CommandError', /cannot be read \(ENOENT\)/],
    [['GET', url, '--body', '-', '--curl'], 'UsageError', /can be read only once/],
    [['GET', 'ftp://x', '--service', 's', '--region', 'us-east-1'], 'CommandError', /must be an http/],
  ]
  for (const [args, name, message] of table)
    await t.rejects(sign(args, VECTOR_TIME), { name, message }, args.join(' '))
  const large = Buffer.alloc(MAX_BODY_BYTES / 2 + 1)
  await t.rejects(sign(['PUT', url, '--body', '-'], VECTOR_TIME, [large, large, large]), {
    message: /more than 16777216 bytes/,
  })
  await t.rejects(sign(['GET', 'https://odd.amazonaws.com/'], VECTOR_TIME), { message: /No AWS region/ })
})
