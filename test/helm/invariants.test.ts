/** What must hold in the chart whatever is set. (K8-08, K8-09, K8-10, K8-14) */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createScriptedEngine, EXAMPLE_ACCOUNT, loadRecordings } from '../../src/emulator/index.ts'
import {
  CASES,
  CHART,
  find,
  hasHelm,
  KUBERNETES_VERSIONS,
  type Manifest,
  podsOf,
  relayConfig,
  relayPod,
  render,
} from '../support/chart.ts'
import { CANARY_METRICS } from '../../src/metrics/canary.ts'
import { WORKER_METRICS } from '../../src/metrics/workers.ts'
import { runCli } from '../support/cli.ts'
import { SPEECH_FOLDER } from '../support/speech.ts'
import { startRelay, startWorld } from '../support/world.ts'

/** AWS: from the notice to the end of a Spot instance. */
const SPOT_NOTICE_SECONDS = 120
/** Of it, for the eviction to reach the node. */
const SPOT_EVICTION_SECONDS = 10
const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

interface NetworkPolicySpec {
  readonly policyTypes: readonly string[]
  readonly ingress: readonly PolicyRule[]
  readonly egress: readonly PolicyRule[]
}

interface PolicyRule {
  readonly ports: readonly { readonly port: string | number; readonly protocol: string }[]
  readonly from?: readonly object[]
  readonly to?: readonly object[]
}

interface ServiceSpec {
  readonly type: string
  readonly selector: Readonly<Record<string, string>>
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[]
}

interface DeploymentSpec {
  readonly replicas?: number
  readonly template: { readonly metadata: Manifest['metadata'] }
}

if (hasHelm(t)) testInvariants()
else t.pass('left out: see render.test.ts')

function testInvariants(): void {
  t.test('the operations port is on a Service of its own, and on no Ingress and no HTTPRoute', async t => {
    for (const [name, files] of Object.entries(CASES)) {
      const manifests = render({ files })
      const client = serviceSpec(find(manifests, 'Service'))
      const ops = serviceSpec(find(manifests, 'Service', '-ops'))
      t.strictSame(
        client.ports.map(port => port.targetPort),
        ['client'],
        `${name}: Service for clients`,
      )
      t.strictSame(
        ops.ports.map(port => port.targetPort),
        ['ops'],
        `${name}: Service for operations`,
      )
      t.equal(ops.type, 'ClusterIP', `${name}: inside of the cluster alone`)
      t.strictSame(client.selector, ops.selector)
      const backends = manifests.filter(({ kind }) => kind === 'Ingress' || kind === 'HTTPRoute')
      for (const manifest of backends) {
        const text = JSON.stringify(manifest['spec'])
        t.notMatch(text, /-ops"|"ops"|9090/, `${name}: ${manifest.kind} does not lead there`)
      }
    }
  })

  t.test('every selector finds the pods that are meant, and no others', async t => {
    for (const files of Object.values(CASES)) {
      const manifests = render({ files })
      const { container } = relayPod(manifests)
      const labels = podLabels(manifests)
      const { selector } = serviceSpec(find(manifests, 'Service'))
      const found = labels.filter(([, own]) =>
        Object.entries(selector).every(([key, value]) => own[key] === value),
      )
      t.strictSame(
        found.map(([name]) => name),
        ['Deployment relay-transcribe-relay'],
      )
      t.equal(container.name, 'relay')
    }
  })

  t.test('the network policy opens what is needed and nothing else', async t => {
    const policy = policySpec(find(render({}), 'NetworkPolicy'))
    t.strictSame(policy.policyTypes, ['Ingress', 'Egress'])
    t.strictSame(portsOf(policy.ingress), ['client', 'ops'])
    t.equal(policy.ingress[0]?.from, undefined, 'clients come from everywhere')
    t.match(policy.ingress[1]?.from, [{ namespaceSelector: {} }], 'Prometheus comes from its namespace')
    t.strictSame(portsOf(policy.egress), [53, 53, 8443, 443, 80])
    t.strictSame(policy.egress.at(-1)?.to, [
      { ipBlock: { cidr: '169.254.170.23/32' } },
      { ipBlock: { cidr: 'fd00:ec2::23/128' } },
    ])
    t.notMatch(
      JSON.stringify(policy),
      '169.254.169.254',
      'the metadata of the node is out of reach: port 80 is closed',
    )

    const closed = { networkPolicy: { operations: [], aws: [], podIdentity: false } }
    const least = policySpec(find(render({ values: closed }), 'NetworkPolicy'))
    t.strictSame(portsOf(least.ingress), ['client'])
    t.strictSame(portsOf(least.egress), [53, 53])

    const named = render({ values: { networkPolicy: { clients: [{ podSelector: {} }] } } })
    const { from = [] } = policySpec(find(named, 'NetworkPolicy')).ingress[0] ?? {}
    t.match(
      from[1],
      { podSelector: { matchLabels: { 'app.kubernetes.io/component': 'test' } } },
      'helm test gets in',
    )
  })

  t.test('a budget for disruptions is there from two pods on', async t => {
    t.notOk(hasBudget({ replicaCount: 1 }), 'it would keep a node from being drained')
    t.notOk(hasBudget({ replicaCount: 0 }))
    t.ok(hasBudget({ replicaCount: 2 }))
    t.ok(hasBudget({ replicaCount: 50 }))
    t.notOk(hasBudget({ autoscaling: { enabled: true, minReplicas: 1 } }))
    t.ok(hasBudget({ replicaCount: 1, autoscaling: { enabled: true, minReplicas: 2 } }))
    t.match(find(render({}), 'PodDisruptionBudget')['spec'], {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    })
  })

  t.test('an autoscaler is alone, and decides the number of pods alone', async t => {
    for (const [kind, values] of [
      ['HorizontalPodAutoscaler', { autoscaling: { enabled: true } }],
      ['ScaledObject', { keda: { enabled: true, prometheusAddress: 'http://p' } }],
    ] as const) {
      const manifests = render({ values })
      const scalers = manifests.filter(manifest =>
        ['HorizontalPodAutoscaler', 'ScaledObject'].includes(manifest.kind),
      )
      t.strictSame(
        scalers.map(scaler => scaler.kind),
        [kind],
      )
      t.notOk('replicas' in deploymentSpec(find(manifests, 'Deployment')))
    }
    t.match(find(render({}), 'Deployment')['spec'], { replicas: 3 })
  })

  t.test('the preStop hook waits without a shell, by the means of the version', async t => {
    for (const kubeVersion of KUBERNETES_VERSIONS) {
      const preStop = relayPod(render({ kubeVersion, values: { preStopSeconds: 2 } })).container.lifecycle
        ?.preStop
      const minor = Number(kubeVersion.split('.')[1])
      if (minor >= 30) t.strictSame(preStop, { sleep: { seconds: 2 } }, kubeVersion)
      else
        t.strictSame(
          preStop,
          { exec: { command: ['/nodejs/bin/node', '-e', 'setTimeout(() => {}, 2000)'] } },
          kubeVersion,
        )
    }
    t.equal(relayPod(render({ values: { preStopSeconds: 0 } })).container.lifecycle, undefined)
  })

  t.test('on Spot nodes everything is over before the node is', async t => {
    const { pod } = relayPod(render({ files: CASES['spot'] ?? [] }))
    const seconds = pod.terminationGracePeriodSeconds ?? Infinity
    t.ok(seconds <= SPOT_NOTICE_SECONDS - SPOT_EVICTION_SECONDS, `${seconds} s`)
  })

  t.test('a change of the settings replaces the pods, a change of the chart alone does not', async t => {
    const checksum = (values: Readonly<Record<string, unknown>>): unknown => {
      const { template } = deploymentSpec(find(render({ values }), 'Deployment'))
      t.notOk(template.metadata.labels?.['helm.sh/chart'])
      return template.metadata.annotations?.['checksum/config']
    }
    t.equal(checksum({}), checksum({ commonLabels: { a: 'b' } }))
    t.not(checksum({}), checksum({ config: { chunkMs: 60 } }))
  })

  t.test(
    'every metric that the autoscalers, the rules and the dashboard name is one of the relay',
    async t => {
      const { opsUrl } = await startWorld(t)
      const exposition = await (await fetch(`${opsUrl}/metrics`)).text()
      const known = new Set([
        ...[...exposition.matchAll(/^([a-z_]+)(?:\{| )/gm)].map(([, name]) => name ?? ''),
        // Of processes of their own.
        ...Object.values({ ...CANARY_METRICS, ...WORKER_METRICS }).map(
          ({ name }) => `transcribe_relay_${name}`,
        ),
      ])
      const files = CASES['all-on'] ?? []
      const manifests = [...render({ files }), ...render({ files: CASES['all-on-keda'] ?? [] })]
      for (const kind of ['HorizontalPodAutoscaler', 'ScaledObject', 'PrometheusRule'])
        checkNames(kind, find(manifests, kind))
      checkNames('dashboard', find(manifests, 'ConfigMap', '-dashboard'))

      function checkNames(what: string, manifest: Manifest): void {
        const text = JSON.stringify([manifest['spec'], manifest['data']]).replaceAll(/transcribe-relay/g, '')
        const names = [...new Set(text.match(/\btranscribe_relay_\w+/g))]
        t.ok(names.length > 0, `${what} names metrics`)
        t.strictSame(
          names.filter(name => !known.has(name)),
          [],
          what,
        )
      }
    },
  )

  t.test('the runbooks of the alerts are at the address of the documentation', async t => {
    const urls = JSON.stringify(find(render({ files: CASES['all-on'] ?? [] }), 'PrometheusRule')).match(
      /"runbook_url":"[^"]*"/g,
    )
    t.ok(urls !== null && urls.length > 0)
    for (const url of urls ?? []) t.match(url, '"https://example.com/source/docs/')
  })

  t.test('the canary is started with words that it understands', async t => {
    for (const values of [{}, { canary: { url: 'wss://relay.example/v1/stream' } }]) {
      const manifests = render({ values: { ...values, canary: { enabled: true, ...values.canary } } })
      const pod = podsOf(manifests).find(([name]) => name === 'Deployment relay-transcribe-relay-canary')?.[1]
      const { args = [], ports = [] } = pod?.containers[0] ?? { name: '' }
      t.equal(args[0], 'canary')
      const { code, stdout } = await runCli([...args, '--help'])
      t.equal(code, 0)
      for (const flag of args.filter(word => word.startsWith('--'))) t.match(stdout, flag, flag)
      t.equal(
        args[args.indexOf('--url') + 1],
        values.canary?.url ?? 'ws://relay-transcribe-relay:80/v1/stream',
      )
      t.equal(args[args.indexOf('--ops-port') + 1], String(ports[0]?.containerPort))
    }
  })

  t.test('helm test streams a second of speech, and fails when nothing comes back', async t => {
    const pod = podsOf(render({})).find(([name]) => name.startsWith('Pod '))?.[1].containers[0]
    const [script = '', cli, wav = '', url = ''] = [...(pod?.command ?? []), ...(pod?.args ?? [])].slice(1)
    t.equal(cli, '/app/dist/cli/main.js')
    t.equal(url, 'ws://relay-transcribe-relay:80/v1/stream')
    const recordings = await loadRecordings(SPEECH_FOLDER)
    const world = await startWorld(t, { emulator: { engine: createScriptedEngine({ recordings }) } })

    const good = await runTest(world.url)
    t.equal(good.code, 0, good.output)
    t.match(good.output, /"text":"[^"]*he was not/i)
    t.match(good.output, /\npassed\n/)

    world.faultNext({
      do: 'exception',
      name: 'BadRequestException',
      message: 'Could not decode the audio stream that you provided.',
      closeCode: 1000,
      atSeconds: 0.5,
    })
    const broken = await runTest(world.url)
    t.equal(broken.code, 1)
    t.match(broken.output, /failed: the client failed/)

    async function runTest(address: string): Promise<{ code: unknown; output: string }> {
      // The client runs from its source here.
      const NODE_OPTIONS = `${process.env['NODE_OPTIONS'] ?? ''} --import=tsx`
      const arguments_ = [sourceOf(script), CLI, sourceOf(wav), address]
      const child = spawn(process.execPath, arguments_, { env: { ...process.env, NODE_OPTIONS } })
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
      const [code] = await once(child, 'close')
      return { code, output }
    }
  })

  t.test('the relay of the kind profile and its emulator understand each other', async t => {
    const manifests = render({ files: CASES['kind'] ?? [] })
    const { container } = relayPod(manifests)
    const env = Object.fromEntries((container.env ?? []).map(({ name, value = '' }) => [name, value]))
    t.match(env, {
      AWS_ACCESS_KEY_ID: EXAMPLE_ACCOUNT.accessKeyId,
      AWS_SECRET_ACCESS_KEY: EXAMPLE_ACCOUNT.secretAccessKey,
    })
    const service = serviceSpec(find(manifests, 'Service', '-emulator'))
    t.equal(
      relayConfig(manifests)['endpoint'],
      `ws://relay-transcribe-relay-emulator:${service.ports[0]?.port}`,
    )
    t.notMatch(
      render({}),
      [{ metadata: { name: 'relay-transcribe-relay-emulator' } }],
      'only where it is wanted',
    )
    const config = relayConfig(manifests)
    const relay = await startRelay(t, { ...config, host: '127.0.0.1', port: 0, opsPort: 0 })
    t.equal((await fetch(`${relay.opsUrl}/livez`)).status, 200, 'the relay takes the file')
    t.match(readFileSync('src/cli/emulate.ts', 'utf8'), 'emulate', 'and the command of the emulator exists')
  })
}

function serviceSpec(manifest: Manifest): ServiceSpec {
  return manifest['spec'] as ServiceSpec
}

function policySpec(manifest: Manifest): NetworkPolicySpec {
  return manifest['spec'] as NetworkPolicySpec
}

function deploymentSpec(manifest: Manifest): DeploymentSpec {
  return manifest['spec'] as DeploymentSpec
}

function hasBudget(values: Readonly<Record<string, unknown>>): boolean {
  return render({ values }).some(({ kind }) => kind === 'PodDisruptionBudget')
}

/** A file of the test pod's volume, where it comes from. */
function sourceOf(path: string): string {
  return join(CHART, 'files', path.replace('/speech/', ''))
}

function portsOf(rules: readonly PolicyRule[]): readonly (string | number)[] {
  return rules.flatMap(({ ports }) => ports.map(({ port }) => port))
}

function podLabels(
  manifests: readonly Manifest[],
): readonly (readonly [string, Readonly<Record<string, string>>])[] {
  return manifests.flatMap(manifest => {
    const name = `${manifest.kind} ${manifest.metadata.name}`
    if (manifest.kind === 'Pod') return [[name, manifest.metadata.labels ?? {}] as const]
    if (manifest.kind !== 'Deployment') return []
    const { template } = deploymentSpec(manifest)
    return [[name, template.metadata.labels ?? {}] as const]
  })
}
