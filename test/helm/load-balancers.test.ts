/** The chart and what stands between clients and pods: load balancers, TLS, and the addresses that the chart names. */
import { cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  CASES,
  CHART,
  find,
  hasHelm,
  type Manifest,
  podsOf,
  relayConfig,
  relayPod,
  render,
  type RenderOptions,
} from '../support/chart.ts'

if (hasHelm(t)) testLoadBalancers()
else t.pass('left out: see render.test.ts')

function testLoadBalancers(): void {
  t.test('clients come back to their pod where that is wanted, to any where not', async t => {
    t.notOk('sessionAffinity' in specOf(find(render({}), 'Service')))
    const service = { sessionAffinity: 'ClientIP', sessionAffinitySeconds: 60 }
    const manifests = render({ values: { service } })
    t.match(specOf(find(manifests, 'Service')), {
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
    })
    t.notOk('sessionAffinity' in specOf(find(manifests, 'Service', '-ops')))
  })

  t.test('no load balancer cuts a pod off that still drains', async t => {
    const delays = (text: string): readonly number[] =>
      [...text.matchAll(/deregistration_delay\.timeout_seconds=(\d+)/g)].map(([, seconds]) => Number(seconds))
    for (const [name, count] of Object.entries({ 'eks-pod-identity': 1, 'eks-irsa': 1, spot: 1, redis: 1 })) {
      const manifests = render({ files: CASES[name] ?? [] })
      const graceSeconds = relayPod(manifests).pod.terminationGracePeriodSeconds ?? Infinity
      const found = delays(JSON.stringify(manifests))
      t.equal(found.length, count, name)
      for (const seconds of found) t.ok(seconds >= graceSeconds, `${name}: ${seconds} s, ${graceSeconds} s`)
    }
    const [alb = 0, nlb = 0] = delays(readFileSync('docs/operations.md', 'utf8'))
    const graceSeconds = (preStopSeconds: number): number =>
      relayPod(render({ values: { preStopSeconds } })).pod.terminationGracePeriodSeconds ?? Infinity
    t.ok(alb >= graceSeconds(15), 'the ALB in docs/operations.md')
    t.ok(nlb >= graceSeconds(180), 'the NLB in docs/operations.md')
  })

  t.test('behind a load balancer the relay knows its clients by their own address', async t => {
    const alb = render({ files: CASES['eks-pod-identity'] ?? [] })
    const { trustedProxies } = relayConfig(alb)
    t.ok(Array.isArray(trustedProxies) && trustedProxies.length === 1)
    t.match(
      specOf(find(alb, 'NetworkPolicy'))['ingress'],
      [{}, { from: [{}, { ipBlock: { cidr: (trustedProxies as readonly string[])[0] } }] }],
      'it is where the health checks come from',
    )
    const nlb = render({ files: CASES['eks-irsa'] ?? [] })
    t.match(relayConfig(nlb), { trustedProxies, proxyProtocol: true })
    const annotations = find(nlb, 'Service').metadata.annotations ?? {}
    t.equal(annotations['service.beta.kubernetes.io/aws-load-balancer-proxy-protocol'], '*')
    t.notMatch(
      Object.keys(annotations).join(),
      'healthcheck-port',
      'the header would come before a health check of the operations port',
    )
  })

  t.test('where the relay speaks TLS, what stands before it and the clients of the chart do too', async t => {
    const urlsOf = (manifests: readonly Manifest[]): readonly string[] =>
      podsOf(manifests)
        .flatMap(([, pod]) => pod.containers.flatMap(({ args = [] }) => args))
        .filter(word => /^wss?:/.test(word))
    const protocolOf = (manifests: readonly Manifest[]): string | undefined =>
      (specOf(find(manifests, 'Service'))['ports'] as readonly { readonly appProtocol: string }[])[0]
        ?.appProtocol
    const plain = render({ values: { canary: { enabled: true } } })
    const service = 'relay-transcribe-relay:80/v1/stream'
    t.strictSame(urlsOf(plain), [`ws://${service}`, `ws://${service}`])
    t.equal(protocolOf(plain), 'kubernetes.io/ws')
    const tls = { existingSecret: 'relay-tls' }
    t.strictSame(urlsOf(render({ values: { tls } })), [`wss://${service}`])
    const url = 'wss://relay.example/v1/stream'
    const named = render({ values: { tls, canary: { enabled: true, url }, helmTest: { url } } })
    t.strictSame(urlsOf(named), [url, url])
    t.equal(protocolOf(named), 'kubernetes.io/wss')
  })

  t.test('the notes tell the address that clients connect to', async t => {
    const notesOf = (options: RenderOptions): string => renderNotes(t.testdir(), options)
    t.match(notesOf({}), /^ {2}ws:\/\/relay-transcribe-relay\.speech\.svc:80\/v1\/stream$/m)
    t.match(
      notesOf({ files: CASES['eks-pod-identity'] ?? [] }),
      /^ {2}wss:\/\/transcribe\.example\.com\/v1\/stream$/m,
    )
    t.match(notesOf({ files: CASES['all-on'] ?? [] }), /^ {2}wss:\/\/two\.example\.com\/v1\/stream$/m)
    const ingress = { exposeWithoutAuth: true, ingress: { enabled: true, hosts: ['a.b'] } }
    t.match(notesOf({ values: ingress }), /^ {2}ws:\/\/a\.b\/v1\/stream$/m)
    const tls = notesOf({ values: { tls: { existingSecret: 'relay-tls' } } })
    t.match(tls, /^ {2}wss:\/\/relay-.*\n\n.*\n.*helm test.*\nThe relay speaks TLS: .*helmTest\.url/m)
    t.notMatch(notesOf({}), 'helmTest.url')
  })
}

function specOf(manifest: Manifest): Readonly<Record<string, unknown>> {
  return manifest['spec'] as Readonly<Record<string, unknown>>
}

/** Helm shows the notes after an installation alone, so a copy of the chart has them in a manifest. */
function renderNotes(folder: string, options: RenderOptions): string {
  const chart = join(folder, 'chart')
  cpSync(CHART, chart, { recursive: true })
  renameSync(join(chart, 'templates/NOTES.txt'), join(chart, 'notes.tpl'))
  const head = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: relay-transcribe-relay-notes}\n'
  const data = 'data: {notes: {{ tpl (.Files.Get "notes.tpl") . | toJson }}}\n'
  writeFileSync(join(chart, 'templates/notes.yaml'), `${head}${data}`)
  const { notes } = find(render({ ...options, chart }), 'ConfigMap', '-notes')['data'] as { notes: string }
  return notes
}
