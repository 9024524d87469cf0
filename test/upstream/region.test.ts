import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { resolveRegion } from '../../src/upstream/region.ts'

async function noFiles() {
  return { configFile: {}, credentialsFile: {} }
}

t.test('takes the first of option, AWS_REGION, AWS_DEFAULT_REGION and the profile', async t => {
  const directory = t.testdir({
    config:
      '[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n[profile odd]\nregion = nowhere\n',
    credentials: '[both]\nregion = ca-central-1\n',
  })
  writeFileSync(join(directory, 'config'), '[profile both]\nregion = sa-east-1\n', { flag: 'a' })
  const files = {
    AWS_CONFIG_FILE: join(directory, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(directory, 'credentials'),
  }
  const both = { AWS_REGION: 'us-east-1', AWS_DEFAULT_REGION: 'us-east-2' }
  const cases: [object, Record<string, string>, string, string][] = [
    [{ region: 'us-west-2' }, both, 'us-west-2', 'option'],
    [{}, both, 'us-east-1', 'AWS_REGION'],
    [
      { region: '' },
      { AWS_REGION: '', AWS_DEFAULT_REGION: ' us-east-2 ' },
      'us-east-2',
      'AWS_DEFAULT_REGION',
    ],
    [{}, files, 'eu-west-1', 'profile'],
    [{}, { ...files, AWS_PROFILE: 'work' }, 'eu-west-2', 'profile'],
    [{ profile: 'work' }, { ...files, AWS_PROFILE: 'default' }, 'eu-west-2', 'profile'],
    [{ profile: 'both' }, files, 'ca-central-1', 'profile'],
  ]
  for (const [options, env, region, source] of cases) {
    t.same(await resolveRegion({ ...options, env }), { region, source })
  }
  await t.rejects(resolveRegion({ env: { ...files, AWS_PROFILE: 'odd' } }), { code: 'invalid_request' })
})

t.test('says what to do when there is none', async t => {
  await t.rejects(resolveRegion({ env: { AWS_PROFILE: 'work' }, loadSharedFiles: noFiles }), {
    code: 'not_ready',
    detail: 'region_missing',
    message: /AWS_REGION.*"work"/,
  })
})

t.test('refuses what is no region, naming value, place and rule', async t => {
  for (const region of [
    'US-EAST-1',
    'us-east',
    'evil.example/',
    'fips-us-east-1',
    'us-east-1-fips',
    'x'.repeat(500),
  ]) {
    await t.rejects(
      resolveRegion({ region, env: {} }),
      { code: 'invalid_request', message: /us-east-1/ },
      region,
    )
  }
  const error = await resolveRegion({ region: `z${'y'.repeat(500)}`, env: {} }).catch(
    (caught: unknown) => caught,
  )
  t.ok((error as Error).message.length < 200, 'a long value is cut')
  t.match((error as Error).message, /from option/)
})
