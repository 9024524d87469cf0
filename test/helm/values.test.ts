/** What the chart accepts, and what it refuses with which words. (K8-02, K8-04) */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { load } from 'js-yaml'
import t from 'tap'
import { CHART_OPTION_KEYS, CHART_FOLDER, renderChart } from '../../scripts/chart.ts'
import { parseConfigFile, readConfigFile } from '../../src/config/file.ts'
import { definitionOf, envName, OPTION_KEYS, OPTIONS } from '../../src/config/options.ts'
import { resolveOptions } from '../../src/config/resolve.ts'
import { checkValue } from '../../src/config/values.ts'
import { CASES, hasHelm, podsOf, relayConfig, relayPod, render, tryRender } from '../support/chart.ts'

interface ChartSchema {
  readonly properties: {
    readonly config: {
      readonly properties: Readonly<Record<string, object>>
      readonly required: readonly string[]
    }
  }
}

const schema = JSON.parse(readFileSync(join(CHART_FOLDER, 'values.schema.json'), 'utf8')) as ChartSchema
const options = schema.properties.config.properties
const defaults = load(readFileSync(join(CHART_FOLDER, 'values.yaml'), 'utf8')) as Readonly<
  Record<string, unknown>
>

/** Values that must be refused, and a part of what must be said. */
const REFUSED: readonly (readonly [values: Readonly<Record<string, unknown>>, message: RegExp])[] = [
  [{ replicaCount: '3' }, /replicaCount.*(got string, want integer|type)/s],
  [{ replicas: 3 }, /replicas/],
  [{ image: { repo: 'x' } }, /repo/],
  [{ image: { repository: '' } }, /repository/],
  [{ config: { chunkMS: 100 } }, /chunkMS/],
  [{ config: { chunkMs: 49 } }, /chunkMs.*50/s],
  [{ config: { idleTimeoutSeconds: 33 } }, /idleTimeoutSeconds.*multiple/s],
  [{ config: { port: 80 } }, /config.port.*1,?024/s],
  [{ config: { silence: 'sometimes' } }, /silence/],
  [{ config: { parameters: { 'language-code': 'en-US' } } }, /language-code/],
  [{ config: { drainTimeoutMs: null } }, /drainTimeoutMs/],
  [{ extraEnv: [{ name: 'RELAY_PORT', value: '1' }] }, /extraEnv/],
  [{ service: { type: 'ExternalName' } }, /service.*type/s],
  [
    { terminationGracePeriodSeconds: 314 },
    /is 314, must be at least 315: preStopSeconds 10 \+ .*clientCloseTimeoutMs 16000 ms \+ 4\. Leave/,
  ],
  [
    { terminationGracePeriodSeconds: 30, config: { drainTimeoutMs: 10_000 } },
    /terminationGracePeriodSeconds is 30, must be at least 55/,
  ],
  [
    { autoscaling: { enabled: true }, keda: { enabled: true, prometheusAddress: 'http://p' } },
    /two autoscalers/,
  ],
  [{ autoscaling: { enabled: true, minReplicas: 9, maxReplicas: 8 } }, /minReplicas is 9, must be at most/],
  [
    { autoscaling: { enabled: true, sessionsPerPod: 1001 } },
    /sessionsPerPod is 1001, must be at most config.maxSessions/,
  ],
  [{ autoscaling: { enabled: true, sessionsPerPod: 0, cpuPercent: 0 } }, /nothing to scale by/],
  [
    { autoscaling: { sessionsPerPod: 0 }, keda: { enabled: true, prometheusAddress: 'http://p' } },
    /keda scales by sessions/,
  ],
  [{ keda: { enabled: true } }, /keda.prometheusAddress is empty/],
  [
    { tls: { existingSecret: 'tls' }, canary: { enabled: true } },
    /canary.url is empty, but the relay speaks TLS/,
  ],
  [{ helmTest: { url: 'https://relay.example' } }, /helmTest.*url/s],
  [{ config: { opsPort: 8080 } }, /config.opsPort is 8080, must differ/],
  [{ ingress: { enabled: true } }, /ingress.hosts is empty/],
  [
    { ingress: { enabled: true, hosts: ['a.b'] } },
    /^.*ingress.enabled takes the relay out .*config.auth to keys/ms,
  ],
  [
    { ingress: { enabled: true, hosts: ['a.b'] }, config: { auth: ['none', 'keys'] } },
    /ingress.enabled takes the relay out/,
  ],
  [{ httpRoute: { enabled: true, parentRefs: [{ name: 'g' }] } }, /httpRoute.enabled takes the relay out/],
  [
    { service: { type: 'LoadBalancer' } },
    /service.type LoadBalancer takes the relay out.*exposeWithoutAuth/s,
  ],
  [{ service: { type: 'NodePort' } }, /service.type NodePort takes the relay out/],
  [{ config: { insecure: false } }, /config.insecure is false, but config.auth lets anybody in/],
  [
    { config: { auth: ['keys', 'tokens'] } },
    /config.tokenSecretFile is not set, but config.auth holds tokens and there can be 3 pods/,
  ],
  [
    { replicaCount: 1, autoscaling: { enabled: true }, config: { auth: ['keys', 'tokens'] } },
    /config.tokenSecretFile is not set.*there can be 50 pods/,
  ],
  [{ httpRoute: { enabled: true } }, /httpRoute.parentRefs is empty/],
  [{ metrics: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } } }, /counted twice/],
  [{ emulator: { enabled: true }, config: { endpoint: 'wss://x' } }, /config.endpoint is set, but emulator/],
  [
    { emulator: { enabled: true }, config: { regions: ['us-east-1'] } },
    /config.regions is set, but emulator/,
  ],
  [{ redis: { existingSecret: 'r', port: 0 } }, /redis.port/],
  [{ config: { redisUrl: 'redis://r' } }, /redisUrl/],
  [
    { emulator: { enabled: true }, aws: { existingSecret: 'keys' } },
    /aws.existingSecret is set, but the emulator/,
  ],
  [
    { tls: { existingSecret: 'tls' }, config: { proxyProtocol: true, trustedProxies: ['10.0.0.0/8'] } },
    /before TLS/,
  ],
  [{ tls: { existingSecret: 'tls' }, config: { tlsCertFile: '/a' } }, /tls.existingSecret brings its own/],
  [{ serviceAccount: { create: false, annotations: { a: 'b' } } }, /serviceAccount.annotations are set/],
]

t.test('README.md and values.schema.json are those of values.yaml and the option table', async t => {
  const { schema: wanted, readme } = renderChart()
  const hint = 'run: node --import tsx scripts/chart.ts'
  t.equal(readFileSync(join(CHART_FOLDER, 'values.schema.json'), 'utf8'), wanted, hint)
  t.equal(readFileSync(join(CHART_FOLDER, 'README.md'), 'utf8'), readme, hint)
})

t.test('every key of config is an option of the relay, and every option but a secret can be set', async t => {
  const secrets = OPTION_KEYS.filter(key => 'secret' in OPTIONS[key])
  t.strictSame(secrets, ['apiKeys', 'redisUrl'], 'a secret would be readable in the ConfigMap')
  t.strictSame(Object.keys(options).sort(), OPTION_KEYS.filter(key => !secrets.includes(key)).sort())
})

t.test('the schema takes and refuses the numbers that the relay takes and refuses', async t => {
  const ajv = new Ajv({ allowUnionTypes: true })
  for (const key of CHART_OPTION_KEYS) {
    const definition = definitionOf(key)
    const validate = ajv.compile(options[key] ?? false)
    t.ok(validate(definition.default), `${key}: its default`)
    if (definition.kind !== 'integer' && definition.kind !== 'number') continue
    const { min, max, multipleOf = 1 } = definition
    for (const value of [min, max, min - multipleOf, max + multipleOf, min + 0.5, 0, -1]) {
      t.equal(validate(value), checkValue(definition, value).ok, `${key}: ${value}`)
    }
  }
})

t.test('the chart says which file it is for', async t => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }
  const chart = load(readFileSync(join(CHART_FOLDER, 'Chart.yaml'), 'utf8')) as Readonly<
    Record<string, unknown>
  >
  t.equal(chart['appVersion'], manifest.version)
  t.strictSame(
    schema.properties.config.required.filter(key => !(key in (defaults['config'] as object))),
    [],
  )
})

if (hasHelm(t)) {
  t.test('bad values are refused with a message', async t => {
    for (const [values, message] of REFUSED) {
      const { ok, stderr } = tryRender({ values })
      t.notOk(ok, JSON.stringify(values))
      t.match(stderr, message)
    }
  })

  t.test('a relay is exposed with authentication, or by a value that says so', async t => {
    const auth = {
      insecure: false,
      auth: ['jwt'],
      jwtIssuer: 'i',
      jwtAudience: 'a',
      jwksUrl: 'https://id.example',
    }
    for (const exposed of [
      { ingress: { enabled: true, hosts: ['a.b'] } },
      { httpRoute: { enabled: true, parentRefs: [{ name: 'g' }] } },
      { service: { type: 'LoadBalancer' } },
      { service: { type: 'ClusterIP' }, config: { insecure: true } },
    ]) {
      t.ok(tryRender({ values: { ...exposed, config: auth } }).ok)
      t.ok(tryRender({ values: { ...exposed, exposeWithoutAuth: true } }).ok)
    }
  })

  t.test('one pod may make up the secret of client tokens, several may not', async t => {
    const config = { auth: ['keys', 'tokens'] }
    const tokenSecretFile = '/etc/transcribe-relay-auth/token-secret'
    t.ok(tryRender({ values: { replicaCount: 1, config } }).ok)
    t.ok(tryRender({ values: { config: { ...config, tokenSecretFile } } }).ok)
  })

  t.test('the relay listens where config.host says, whatever the image says', async t => {
    const image = Object.fromEntries(
      [...readFileSync('Dockerfile', 'utf8').matchAll(/\b(RELAY_\w+)=(\S+)/g)].map(([, name, value]) => [
        name,
        value,
      ]),
    )
    t.ok('RELAY_HOST' in image)
    for (const host of [undefined, '::', '127.0.0.1']) {
      const manifests = render({
        values: { config: { host, opsHost: host }, canary: { enabled: true }, emulator: { enabled: true } },
      })
      const env = relayPod(manifests).container.env?.map(({ name, value }) => [name, value]) ?? []
      const { options: resolved } = resolveOptions({
        file: parseConfigFile('relay.json', JSON.stringify(relayConfig(manifests))),
        env: { ...image, ...Object.fromEntries(env) },
      })
      t.match(resolved, { host: host ?? '0.0.0.0', opsHost: host ?? '0.0.0.0' })
      const words = podsOf(manifests).flatMap(([, pod]) => pod.containers.flatMap(({ args = [] }) => args))
      for (const flag of ['--host', '--ops-host'])
        t.equal(words[words.indexOf(flag) + 1], host === '::' ? '::' : '0.0.0.0', flag)
    }
  })

  t.test('the grace period is what stopping takes, whatever the drain', async t => {
    for (const [preStopSeconds, drainTimeoutMs, drainSpreadMs, flushTimeoutMs, clientCloseTimeoutMs] of [
      [0, 0, 0, 100, null],
      [10, 270_000, 5000, 10_000, null],
      [180, 1, 1, 1999, 1000],
      [600, 14_000_000, 200_000, 20_000, 60_000],
    ] as const) {
      const stoppingMs = drainTimeoutMs + drainSpreadMs + flushTimeoutMs + (clientCloseTimeoutMs ?? 16_000)
      const needed = preStopSeconds + Math.ceil(stoppingMs / 1000) + 4
      const close = clientCloseTimeoutMs === null ? {} : { clientCloseTimeoutMs }
      const values = { preStopSeconds, config: { drainTimeoutMs, drainSpreadMs, flushTimeoutMs, ...close } }
      t.equal(relayPod(render({ values })).pod.terminationGracePeriodSeconds, needed)
      const exact = { ...values, terminationGracePeriodSeconds: needed }
      if (needed <= 15_000)
        t.equal(relayPod(render({ values: exact })).pod.terminationGracePeriodSeconds, needed)
      t.notOk(tryRender({ values: { ...values, terminationGracePeriodSeconds: needed - 1 } }).ok)
    }
  })

  t.test('the relay reads what each profile gives it, and nothing else by its own names', async t => {
    for (const [name, files] of Object.entries(CASES)) {
      const manifests = render({ files })
      const file = join(t.testdir(), 'relay.json')
      writeFileSync(file, JSON.stringify(relayConfig(manifests)))
      const { options: resolved } = resolveOptions({ file: await readConfigFile(file) })
      t.equal(resolved.drainTimeoutMs, relayConfig(manifests)['drainTimeoutMs'], name)
      const known = [...OPTION_KEYS.map(envName), 'RELAY_CONFIG_FILE']
      const given = podsOf(manifests).flatMap(([, pod]) => pod.containers.flatMap(({ env = [] }) => env))
      const relayNames = given
        .map(variable => variable.name)
        .filter(variable => variable.startsWith('RELAY_'))
      t.strictSame(
        relayNames.filter(variable => !known.includes(variable)),
        [],
        `${name}: names of variables`,
      )
      const { container } = relayPod(manifests)
      t.strictSame(
        container.ports?.map(port => [port.name, port.containerPort]),
        [
          ['client', resolved.port],
          ['ops', resolved.opsPort],
        ],
        `${name}: ports`,
      )
    }
  })
} else t.pass('left out: see render.test.ts')
