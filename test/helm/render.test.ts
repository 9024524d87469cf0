/**
 * The chart, rendered in every profile for every version of Kubernetes: valid, restricted, and as it was. (K8-01, K8-03)
 *
 * After a wanted change: `UPDATE_GOLDEN=1 npx tap test/helm/render.test.ts`, then read the difference.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dump } from 'js-yaml'
import t from 'tap'
import {
  CASES,
  CHART,
  hasHelm,
  KUBERNETES_VERSIONS,
  type Manifest,
  NEWEST,
  podsOf,
  render,
  runHelm,
} from '../support/chart.ts'
import { findUnknownFields, problemOf } from '../support/manifest-schemas.ts'
import { podSecurityProblems } from '../support/pod-security.ts'

const MAX_GOLDEN_TEXT_CHARS = 1000

if (hasHelm(t)) testRendering()
else t.comment('the chart tests were left out: helm is not installed (scripts/ci-tools.sh installs it)')

function testRendering(): void {
  t.test('helm lint has nothing to say', async t => {
    for (const [name, files] of Object.entries(CASES)) {
      const args = [
        'lint',
        '--strict',
        '--quiet',
        '--kube-version',
        NEWEST,
        ...files.flatMap(file => ['--values', file]),
        CHART,
      ]
      const { ok, stdout, stderr } = runHelm(args)
      t.ok(ok, `${name}: ${stdout}${stderr}`)
    }
  })

  t.test('every profile is valid and restricted on every version of Kubernetes', async t => {
    const all: Manifest[] = []
    for (const [name, files] of Object.entries(CASES)) {
      for (const kubeVersion of KUBERNETES_VERSIONS) {
        const manifests = render({ files, kubeVersion })
        all.push(...manifests)
        t.strictSame(
          manifests.map(manifest => problemOf(manifest)).filter(problem => problem !== null),
          [],
          `${name} on ${kubeVersion} is valid`,
        )
        const keys = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
        t.equal(new Set(keys).size, keys.length, `${name} on ${kubeVersion} has no name twice`)
        for (const [pod, spec] of podsOf(manifests)) {
          t.strictSame(podSecurityProblems(spec), [], `${pod} of ${name} on ${kubeVersion} is restricted`)
        }
      }
    }
    t.equal(findUnknownFields(all, t.testdir()), '', 'no field is unknown to Kubernetes')
  })

  t.test('a profile is what it was', async t => {
    for (const [name, files] of Object.entries(CASES)) checkGolden(name, render({ files }))

    function checkGolden(name: string, manifests: readonly Manifest[]): void {
      const actual = manifests
        .map(manifest => dump(shorten(manifest), { lineWidth: -1, sortKeys: true }))
        .join('---\n')
      const file = `test/helm/golden/${name}.yaml`
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, actual)
      t.equal(actual, existsSync(file) ? readFileSync(file, 'utf8') : '', name)
    }
  })
}

t.test('the checks of manifests find what is wrong', async t => {
  t.equal(problemOf(deployment({})), null)
  t.match(problemOf(deployment({ replicas: '3' })), /replicas must be integer/)
  t.match(problemOf({ apiVersion: 'v2', kind: 'Thing', metadata: { name: 'x' } }), /no schema for v2 Thing/)
  t.match(findUnknownFields([deployment({ replica: 3 })], t.testdir()), /'"replica"' does not exist/)
  t.strictSame(
    podSecurityProblems({
      containers: [{ name: 'c' }],
      hostNetwork: true,
      volumes: [{ name: 'v', hostPath: {} }],
    }),
    [
      'hostNetwork',
      'volume hostPath',
      'c: allowPrivilegeEscalation',
      'c: runAsNonRoot',
      'c: seccompProfile',
      'c: capabilities.drop',
    ],
  )
})

function deployment(spec: object): Manifest {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x' },
    spec: { selector: {}, template: { spec: { containers: [{ name: 'c' }] } }, ...spec },
  }
}

/** Long texts (rules, dashboard, speech) by their hash or count: they have tests of their own. */
function shorten(value: unknown, key = ''): unknown {
  // Others write the rules and the dashboard.
  if (key === 'groups' && Array.isArray(value)) return 'see files/rules.yaml'
  if (key === 'transcribe-relay.json') return 'see files/dashboard.json'
  if (typeof value === 'string' && value.length > MAX_GOLDEN_TEXT_CHARS) {
    return `sha256:${createHash('sha256').update(value).digest('hex')}`
  }
  if (Array.isArray(value)) return value.map(item => shorten(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shorten(item, name)]))
}
