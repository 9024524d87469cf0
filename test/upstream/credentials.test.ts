import t from 'tap'
import type { AwsCredentials } from '../../src/upstream/aws-credentials.ts'
import { createCredentialChain } from '../../src/upstream/credential-chain.ts'
import type { CredentialProvider } from '../../src/upstream/credential-chain.ts'
import {
  createCredentialSource,
  createStaticCredentials,
  describeSafely,
} from '../../src/upstream/credentials.ts'
import type { CredentialSource, CredentialSourceOptions } from '../../src/upstream/credentials.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'

const MINUTE = 60_000

/** Lets everything that waits for nothing but promises run. */
async function settle(): Promise<void> {
  await new Promise(resolve => setImmediate(resolve))
}

/** A provider that a test answers; each call of it is one entry of `calls`. */
class FakeProvider {
  readonly calls: { options: object | undefined }[] = []
  answer: (call: number) => Promise<AwsCredentials> = async () => ({
    accessKeyId: 'AKIA0',
    secretAccessKey: 's',
  })

  readonly provide: CredentialProvider = options => {
    this.calls.push({ options })
    return this.answer(this.calls.length)
  }
}

function setUp(options: Partial<CredentialSourceOptions> = {}) {
  const clock = new ManualClock()
  const provider = new FakeProvider()
  const source: CredentialSource = createCredentialSource({
    clock,
    provider: provider.provide,
    random: () => 1,
    ...options,
  })
  function keysFor(minutes: number) {
    return async (call: number): Promise<AwsCredentials> => ({
      accessKeyId: `ASIA${call}`,
      secretAccessKey: 's',
      sessionToken: 't',
      expiration: new Date(clock.now() + minutes * MINUTE),
    })
  }
  return { clock, provider, source, keysFor }
}

t.test('a hundred callers share one refresh, and later ones its result', async t => {
  const { provider, source, clock } = setUp()
  t.same(source.readiness(), { ready: false, reason: 'credentials_pending' })
  const all = await Promise.all(Array.from({ length: 100 }, () => source.get()))
  t.equal(provider.calls.length, 1)
  t.same(provider.calls[0]?.options, { forceRefresh: true }, 'what a provider has cached is no use')
  t.ok(all.every(credentials => credentials === all[0]))
  clock.advance(1000 * MINUTE)
  t.equal(await source.get({ minRemainingMs: 1e12 }), all[0], 'keys without an end are kept for ever')
  t.same(source.readiness(), { ready: true, reason: null })
  t.same(source.figures, { refreshesOk: 1, refreshesFailed: 0, expiresAtMs: null })
  t.equal(clock.pendingTimers, 0)
})

t.test('hands out what is cached and refreshes beside it when less than five minutes are left', async t => {
  const { clock, provider, source, keysFor } = setUp()
  provider.answer = keysFor(60)
  t.equal((await source.get()).accessKeyId, 'ASIA1')
  t.equal(source.figures.expiresAtMs, clock.now() + 60 * MINUTE)
  clock.advance(54 * MINUTE)
  t.equal((await source.get()).accessKeyId, 'ASIA1')
  t.equal(provider.calls.length, 1)
  clock.advance(2 * MINUTE)
  t.equal((await source.get()).accessKeyId, 'ASIA1', 'nobody waits')
  await settle()
  t.equal((await source.get()).accessKeyId, 'ASIA2')
})

t.test(
  'waits for a refresh when too little is left, and takes the old ones if it brings nothing',
  async t => {
    const { clock, provider, source, keysFor } = setUp()
    provider.answer = keysFor(60)
    await source.get()
    clock.advance(59.5 * MINUTE)
    t.equal((await source.get({ minRemainingMs: MINUTE })).accessKeyId, 'ASIA2')
    clock.advance(59.5 * MINUTE)
    provider.answer = async () => Promise.reject(new Error('down'))
    t.equal((await source.get({ minRemainingMs: MINUTE })).accessKeyId, 'ASIA2')
    clock.advance(0.5 * MINUTE)
    await t.rejects(source.get(), { code: 'not_ready', detail: 'credentials_missing: Error: down' })
  },
)

t.test('does not ask again and again a provider that has only credentials about to end', async t => {
  const { clock, provider, source } = setUp()
  const expiration = new Date(clock.now() + 2 * MINUTE)
  provider.answer = async () => ({ accessKeyId: 'AKIA', secretAccessKey: 's', expiration })
  source.start()
  for (let second = 0; second < 110; second += 1) {
    await source.get({ minRemainingMs: 3 * MINUTE })
    clock.advance(1000)
    await settle()
  }
  t.ok(provider.calls.length > 3 && provider.calls.length < 30, `${provider.calls.length} calls in 110 s`)
  source.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('a forced refresh gets others at once, but not more often than every five seconds', async t => {
  const { clock, provider, source, keysFor } = setUp()
  provider.answer = keysFor(60)
  await source.get()
  const forced = await Promise.all(Array.from({ length: 100 }, () => source.get({ force: true })))
  t.equal(provider.calls.length, 2)
  t.ok(forced.every(({ accessKeyId }) => accessKeyId === 'ASIA2'))
  t.equal((await source.get({ force: true })).accessKeyId, 'ASIA2')
  clock.advance(5000)
  t.equal((await source.get({ force: true })).accessKeyId, 'ASIA3')
  clock.advance(5000)
  provider.answer = async () => Promise.reject(new Error('down'))
  t.equal(
    (await source.get({ force: true })).accessKeyId,
    'ASIA3',
    'a failed one falls back to what is valid',
  )
})

t.test(
  'a provider that hangs is given up, its late answer is dropped, and it is asked again (CR-06)',
  async t => {
    const { clock, provider, source } = setUp()
    const late = defer<AwsCredentials>()
    provider.answer = async () => late.promise
    const first = source.get()
    await settle()
    clock.advance(9999)
    t.same(source.readiness(), { ready: false, reason: 'credentials_pending' })
    clock.advance(1)
    await t.rejects(first, {
      code: 'not_ready',
      detail: 'credentials_timeout: the provider did not answer in time',
    })
    t.same(source.readiness(), { ready: false, reason: 'credentials_timeout' })
    late.resolve({ accessKeyId: 'AKIALATE', secretAccessKey: 's' })
    await settle()
    t.equal(source.readiness().ready, false)
    clock.advance(1000)
    provider.answer = async () => ({ accessKeyId: 'AKIANEW', secretAccessKey: 's' })
    t.equal((await source.get()).accessKeyId, 'AKIANEW')
    t.same(source.figures, { refreshesOk: 1, refreshesFailed: 1, expiresAtMs: null })
    t.equal(clock.pendingTimers, 0)
  },
)

t.test(
  'attempts after failures are spaced from one second to thirty, with jitter, and recover unasked',
  async t => {
    const { clock, provider, source } = setUp()
    provider.answer = async () => Promise.reject(new Error('down'))
    const startedMs = clock.monotonicMs()
    const attemptsAtMs: number[] = []
    source.start()
    source.start()
    for (let second = 0; second < 200; second += 1) {
      await settle()
      if (provider.calls.length > attemptsAtMs.length) attemptsAtMs.push(clock.monotonicMs() - startedMs)
      clock.advance(1000)
    }
    const gaps = attemptsAtMs.slice(1).map((ms, i) => ms - (attemptsAtMs[i] ?? 0))
    t.same(gaps.slice(0, 8), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    await t.rejects(source.get(), { code: 'not_ready' })
    t.same(source.readiness(), { ready: false, reason: 'credentials_missing' })
    provider.answer = async () => ({ accessKeyId: 'AKIA', secretAccessKey: 's' })
    for (let second = 0; second < 31; second += 1) {
      clock.advance(1000)
      await settle()
    }
    t.same(source.readiness(), { ready: true, reason: null })
    source.close()
    source.close()
    t.equal(clock.pendingTimers, 0)
  },
)

t.test('jitter shortens a wait to no less than half', async t => {
  const { clock, provider, source } = setUp({ random: () => 0, backoffMinMs: 1000 })
  provider.answer = async () => Promise.reject(new Error('down'))
  await t.rejects(source.get())
  clock.advance(499)
  await t.rejects(source.get())
  t.equal(provider.calls.length, 1)
  clock.advance(1)
  await t.rejects(source.get())
  t.equal(provider.calls.length, 2)
})

t.test('with the provider down, cached credentials serve until they end (CR-05, CR-07)', async t => {
  const { clock, provider, source, keysFor } = setUp()
  provider.answer = keysFor(60)
  source.start()
  await settle()
  provider.answer = async () => Promise.reject(new Error('down'))
  for (let minute = 1; minute < 60; minute += 1) {
    clock.advance(MINUTE)
    await settle()
    t.equal((await source.get()).accessKeyId, 'ASIA1')
    t.ok(source.readiness().ready)
  }
  t.ok(source.figures.refreshesFailed > 3)
  clock.advance(MINUTE)
  await settle()
  await t.rejects(source.get(), { code: 'not_ready' })
  t.equal(source.readiness().ready, false)
  source.close()
})

t.test('keys that rotate every two seconds are always fresh (CR-03)', async t => {
  const { clock, provider, source, keysFor } = setUp({ refreshBeforeMs: 1000 })
  provider.answer = keysFor(2 / 60)
  source.start()
  for (let second = 0; second < 300; second += 1) {
    await settle()
    const { expiration } = await source.get()
    t.ok((expiration?.getTime() ?? 0) > clock.now())
    clock.advance(1000)
  }
  t.equal(source.figures.refreshesFailed, 0)
  source.close()
})

t.test('credentials that cannot work are a failure with a reason of their own', async t => {
  const cases: [Partial<AwsCredentials>, string, string][] = [
    [{ accessKeyId: '' }, 'credentials_invalid', 'credentials_invalid: access_key_missing'],
    [{ accessKeyId: 'ASIA1' }, 'credentials_invalid', 'credentials_invalid: session_token_missing'],
    [{ expiration: new Date('soon') }, 'credentials_invalid', 'credentials_invalid: expiration_unreadable'],
    [{ expiration: new Date(0) }, 'credentials_expired', 'credentials_expired'],
  ]
  for (const [change, reason, detail] of cases) {
    const { provider, source } = setUp()
    provider.answer = async () => ({ accessKeyId: 'AKIA', secretAccessKey: 's', ...change })
    await t.rejects(source.get(), { code: 'not_ready', detail })
    t.same(source.readiness(), { ready: false, reason })
  }
})

t.test('expired credentials that nobody has tried to refresh are said to be expired (CR-02)', async t => {
  const { clock, provider, source, keysFor } = setUp()
  provider.answer = keysFor(10)
  await source.get()
  clock.advance(10 * MINUTE)
  t.same(source.readiness(), { ready: false, reason: 'credentials_expired' })
})

t.test('a provider that throws instead of rejecting is a failure like any other', async t => {
  const { provider, source } = setUp()
  provider.answer = () => {
    throw new TypeError('broken')
  }
  await t.rejects(source.get(), { code: 'not_ready', detail: 'credentials_missing: TypeError: broken' })
})

function said(message: string, name = 'CredentialsProviderError'): string {
  return describeSafely(Object.assign(new Error(message), { name }))
}

t.test('nothing of a message that may be a secret is repeated', async t => {
  t.equal(
    said('Could not load credentials from any providers'),
    'CredentialsProviderError: Could not load credentials from any providers',
  )
  t.equal(
    said('Command failed: echo wJalrXUtnFEMI/K7MDENG'),
    'CredentialsProviderError: Command failed: echo',
  )
  t.equal(said('wJalrXUtnFEMIKMDENGbPxRfiCYEXAMPLEKEY'), 'CredentialsProviderError')
  t.equal(said('AKIDEXAMPLE1 is bad'), 'CredentialsProviderError')
  t.equal(said('a '.repeat(500)).length < 60, true)
  t.equal(said('down', 'bad name!'), 'Error: down')
  t.equal(describeSafely('wJalrXUtnFEMI'), 'unknown error')
})

t.test('fixed keys', async t => {
  const source = createStaticCredentials({ accessKeyId: 'AKIA', secretAccessKey: 's' }, new ManualClock())
  t.equal((await source.get()).secretAccessKey, 's')
})

t.test(
  'the chain of the AWS SDK finds keys in the environment and in files, without any network',
  async t => {
    const directory = t.testdir({
      credentials: '[work]\naws_access_key_id = AKIAFILE\naws_secret_access_key = s\n',
      config: '',
    })
    const { env } = process
    const before = { ...env }
    t.teardown(() => {
      for (const name of Object.keys(env)) if (!(name in before)) delete env[name]
      Object.assign(env, before)
    })
    for (const name of Object.keys(env)) if (name.startsWith('AWS_')) delete env[name]
    env['AWS_EC2_METADATA_DISABLED'] = 'true'
    env['AWS_SHARED_CREDENTIALS_FILE'] = `${directory}/credentials`
    env['AWS_CONFIG_FILE'] = `${directory}/config`
    const clock = new ManualClock()
    await t.rejects(createCredentialSource({ clock }).get(), {
      code: 'not_ready',
      detail: 'credentials_missing: CredentialsProviderError: Could not load credentials from any providers',
    })
    const chain = createCredentialChain({ profile: 'work', region: 'us-east-1' })
    t.match(await chain(), { accessKeyId: 'AKIAFILE' })
    t.match(await chain({ forceRefresh: true }), { accessKeyId: 'AKIAFILE' })
    env['AWS_ACCESS_KEY_ID'] = 'AKIAENV'
    env['AWS_SECRET_ACCESS_KEY'] = 's'
    t.match(await createCredentialSource({ clock }).get(), { accessKeyId: 'AKIAENV' })
  },
)
