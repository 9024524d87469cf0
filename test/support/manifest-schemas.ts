/**
 * Checks of manifests: the schemas of Kubernetes for what is its own, schemas of ours for the custom resources, and the types
 * of Kubernetes for what schemas let through, fields that do not exist.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { Deployment } from 'kubernetes-models/apps/v1'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import { Ingress, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, Pod, Service, ServiceAccount } from 'kubernetes-models/v1'
import type { Manifest } from './chart.ts'

interface Validated {
  validate(): void
}

/** By apiVersion and kind: how it is made, and where its type is. */
const KINDS: Readonly<
  Record<string, { readonly make: (data: never) => Validated; readonly module: string }>
> = {
  'apps/v1 Deployment': { make: data => new Deployment(data), module: 'apps/v1' },
  'autoscaling/v2 HorizontalPodAutoscaler': {
    make: data => new HorizontalPodAutoscaler(data),
    module: 'autoscaling/v2',
  },
  'networking.k8s.io/v1 Ingress': { make: data => new Ingress(data), module: 'networking.k8s.io/v1' },
  'networking.k8s.io/v1 NetworkPolicy': {
    make: data => new NetworkPolicy(data),
    module: 'networking.k8s.io/v1',
  },
  'policy/v1 PodDisruptionBudget': { make: data => new PodDisruptionBudget(data), module: 'policy/v1' },
  'v1 ConfigMap': { make: data => new ConfigMap(data), module: 'v1' },
  'v1 Pod': { make: data => new Pod(data), module: 'v1' },
  'v1 Service': { make: data => new Service(data), module: 'v1' },
  'v1 ServiceAccount': { make: data => new ServiceAccount(data), module: 'v1' },
}

const text = { type: 'string', minLength: 1 }
const labels = { type: 'object', additionalProperties: { type: 'string' } }
const duration = { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' }
const expression = object({
  key: text,
  operator: { enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'] },
  values: list(text),
})
const selector = object({ matchLabels: labels, matchExpressions: list(expression) }, ['matchLabels'])
const scrape = object({ port: text, path: text, interval: duration }, ['port'])
const monitor = { jobLabel: text, selector, namespaceSelector: object({ matchNames: list(text) }) }
const rule = object(
  {
    alert: text,
    record: text,
    expr: text,
    for: duration,
    labels,
    annotations: labels,
    keep_firing_for: duration,
  },
  ['expr'],
)

/** The `spec` of each custom resource, as far as the chart uses it. */
const CUSTOM_SPECS: Readonly<Record<string, object>> = {
  'monitoring.coreos.com/v1 ServiceMonitor': object({ ...monitor, endpoints: list(scrape) }, [
    'selector',
    'endpoints',
  ]),
  'monitoring.coreos.com/v1 PodMonitor': object({ ...monitor, podMetricsEndpoints: list(scrape) }, [
    'selector',
    'podMetricsEndpoints',
  ]),
  'monitoring.coreos.com/v1 PrometheusRule': object({
    groups: list(object({ name: text, interval: duration, rules: list(rule) }, ['name', 'rules'])),
  }),
  'gateway.networking.k8s.io/v1 HTTPRoute': object(
    {
      parentRefs: list(object({ name: text, namespace: text, sectionName: text }, ['name'])),
      hostnames: list(text),
      rules: list(
        object({
          matches: list(object({ path: object({ type: { enum: ['Exact', 'PathPrefix'] }, value: text }) })),
          backendRefs: list(object({ name: text, port: { type: 'integer' } }, ['name', 'port'])),
        }),
      ),
    },
    ['parentRefs'],
  ),
  'keda.sh/v1alpha1 ScaledObject': object(
    {
      scaleTargetRef: object({ apiVersion: text, kind: text, name: text }, ['name']),
      minReplicaCount: { type: 'integer' },
      maxReplicaCount: { type: 'integer' },
      pollingInterval: { type: 'integer' },
      advanced: object({ horizontalPodAutoscalerConfig: object({ behavior: { type: 'object' } }) }),
      triggers: list(object({ type: { const: 'prometheus' }, metadata: labels }, ['type', 'metadata'])),
    },
    ['scaleTargetRef', 'triggers'],
  ),
}

const COMPILER_OPTIONS =
  '--noEmit --strict --skipLibCheck --ignoreConfig --module esnext --moduleResolution bundler --target es2023'
const ajv = new Ajv({ allErrors: true })

/** What is wrong with a manifest by its schema, in words; `null`: nothing. */
export function problemOf(manifest: Manifest): string | null {
  const id = idOf(manifest)
  const kind = KINDS[id]
  if (kind !== undefined) return messageOf(() => kind.make(manifest as never).validate())
  const schema = CUSTOM_SPECS[id]
  if (schema === undefined) return `no schema for ${id}`
  return ajv.validate(schema, manifest['spec']) ? null : ajv.errorsText()
}

/** What the compiler says of the manifests as values of their types: fields that do not exist, most of all. */
export function findUnknownFields(manifests: readonly Manifest[], folder: string): string {
  const typed = manifests.filter(manifest => KINDS[idOf(manifest)] !== undefined)
  const lines = typed.map(
    (manifest, index) =>
      `export const m${index}: import('kubernetes-models/${KINDS[idOf(manifest)]?.module}').I${manifest.kind} = ` +
      JSON.stringify(manifest),
  )
  const file = join(folder, 'manifests.ts')
  writeFileSync(file, lines.join('\n'))
  // Without the options by which the test runner follows Node.js processes: the compiler cannot be loaded with them.
  const command = [
    '-u',
    'NODE_OPTIONS',
    'node_modules/.bin/tsc',
    ...COMPILER_OPTIONS.split(' '),
    '--types',
    '',
    file,
  ]
  const { stdout, stderr } = spawnSync('env', command, { encoding: 'utf8' })
  return stdout + stderr
}

function idOf({ apiVersion, kind }: Manifest): string {
  return `${apiVersion} ${kind}`
}

function messageOf(check: () => void): string | null {
  try {
    check()
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function object(properties: Readonly<Record<string, object>>, required: readonly string[] = []): object {
  return { type: 'object', additionalProperties: false, properties, required }
}

function list(items: object): object {
  return { type: 'array', items }
}
