/** The chart, rendered by the real helm, and its manifests as objects. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadAll } from 'js-yaml'

export const CHART = fileURLToPath(new URL('../../helm/transcribe-relay', import.meta.url))
const VALUES = fileURLToPath(new URL('../helm/values', import.meta.url))

/** Where `scripts/ci-tools.sh` puts it. */
const CACHED_HELM = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'transcribe-relay/bin/helm',
)
const HELM = findHelm()

/** Versions of Kubernetes that the chart is rendered for: the oldest it names, and the ones between which it differs. */
export const KUBERNETES_VERSIONS = ['1.27.0', '1.29.0', '1.32.0', '1.34.0'] as const
export const NEWEST = '1.34.0'

const profile = (name: string): string => join(CHART, 'examples', `${name}.yaml`)
const values = (name: string): string => join(VALUES, `${name}.yaml`)

/** Every way in which the chart is rendered by the tests. */
export const CASES: Readonly<Record<string, readonly string[]>> = {
  defaults: [],
  'eks-pod-identity': [profile('eks-pod-identity')],
  'eks-irsa': [profile('eks-irsa')],
  spot: [profile('eks-pod-identity'), profile('spot')],
  kind: [profile('kind')],
  redis: [profile('eks-irsa'), profile('redis')],
  'all-on': [values('all-on')],
  'all-on-keda': [values('all-on'), values('all-on-keda')],
  'all-off': [values('all-off')],
}

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

/** What tests read of a pod; its whole shape is checked against the schema of Kubernetes. */
export interface PodSpec {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly volumes?: readonly Readonly<Record<string, unknown>>[]
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly terminationGracePeriodSeconds?: number
  readonly [field: string]: unknown
}

export interface Container {
  readonly name: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly ports?: readonly {
    readonly name: string
    readonly containerPort: number
    readonly hostPort?: number
  }[]
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly lifecycle?: { readonly preStop?: Readonly<Record<string, unknown>> }
}

/** Helm's answer: what it printed, and whether it was satisfied. */
export interface HelmResult {
  readonly ok: boolean
  readonly stdout: string
  readonly stderr: string
}

/** Whether helm is there. In CI it has to be. */
export function hasHelm(t: { equal(found: unknown, wanted: unknown, message: string): unknown }): boolean {
  if (HELM === null) t.equal(process.env['CI'] ?? 'no', 'no', 'the chart is not tested; in CI it has to be')
  return HELM !== null
}

export function runHelm(args: readonly string[]): HelmResult {
  const { status, stdout, stderr } = spawnSync(HELM ?? 'helm', args, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: tmpdir() },
    maxBuffer: 64 * 2 ** 20,
  })
  return { ok: status === 0, stdout, stderr }
}

export interface RenderOptions {
  readonly files?: readonly string[]
  /** On top of the files. */
  readonly values?: Readonly<Record<string, unknown>>
  readonly kubeVersion?: string
  /** Folder of another chart than that of the project. */
  readonly chart?: string
}

export function tryRender({
  files = [],
  values: more = {},
  kubeVersion = NEWEST,
  chart = CHART,
}: RenderOptions): HelmResult {
  const folder = mkdtempSync(join(tmpdir(), 'relay-chart-'))
  try {
    const file = join(folder, 'values.json')
    writeFileSync(file, JSON.stringify(more))
    const valueArgs = [...files, file].flatMap(path => ['--values', path])
    return runHelm([
      'template',
      'relay',
      chart,
      '--namespace',
      'speech',
      '--kube-version',
      kubeVersion,
      ...valueArgs,
    ])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Throws with helm's message. */
export function render(options: RenderOptions): readonly Manifest[] {
  const { ok, stdout, stderr } = tryRender(options)
  if (!ok) throw new Error(`helm template failed: ${stderr}`)
  return (loadAll(stdout) as (Manifest | null)[]).filter(manifest => manifest !== null)
}

/** Throws where there is none. */
export function find(manifests: readonly Manifest[], kind: string, suffix = ''): Manifest {
  const found = manifests.find(
    manifest => manifest.kind === kind && manifest.metadata.name === `relay-transcribe-relay${suffix}`,
  )
  if (found === undefined) throw new Error(`there is no ${kind} relay-transcribe-relay${suffix}`)
  return found
}

/** The pods of all manifests, by kind and name of what makes them. */
export function podsOf(manifests: readonly Manifest[]): readonly (readonly [name: string, pod: PodSpec])[] {
  return manifests.flatMap(manifest => {
    const name = `${manifest.kind} ${manifest.metadata.name}`
    if (manifest.kind === 'Pod') return [[name, manifest['spec'] as PodSpec] as const]
    if (manifest.kind !== 'Deployment') return []
    const { template } = manifest['spec'] as { readonly template: { readonly spec: PodSpec } }
    return [[name, template.spec] as const]
  })
}

export function relayPod(manifests: readonly Manifest[]): {
  readonly pod: PodSpec
  readonly container: Container
} {
  const pod = podsOf(manifests).find(([name]) => name === 'Deployment relay-transcribe-relay')?.[1]
  const container = pod?.containers[0]
  if (pod === undefined || container === undefined) throw new Error('there is no pod of the relay')
  return { pod, container }
}

/** The configuration file of the relay in the ConfigMap. */
export function relayConfig(manifests: readonly Manifest[]): Readonly<Record<string, unknown>> {
  const data = find(manifests, 'ConfigMap')['data'] as Readonly<Record<string, string>>
  return JSON.parse(data['relay.json'] ?? '') as Record<string, unknown>
}

function findHelm(): string | null {
  if (spawnSync('helm', ['version', '--short']).status === 0) return 'helm'
  return existsSync(CACHED_HELM) ? CACHED_HELM : null
}
