/**
 * Writes README.md and values.schema.json of the chart from its values.yaml: run it after a change of the values or of the
 * option table.
 *
 *     node --import tsx scripts/chart.ts
 *
 * A comment `# -- …` documents the key below it; the comment lines after it go on. `# @schema {…}` is the JSON schema of
 * the key and makes it a leaf. Without one the schema follows from the default: an object gets a row for each of its
 * keys and no others, a text, a number or a boolean its type. `{"$options": true}` stands for the options of the relay.
 * A key without documentation is an error.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { load } from 'js-yaml'
import { definitionOf, OPTION_KEYS, type OptionKey } from '../src/config/options.ts'
import { describeBounds } from '../src/config/values.ts'

export const CHART_FOLDER = fileURLToPath(new URL('../helm/transcribe-relay/', import.meta.url))

export type JsonSchema = Readonly<Record<string, unknown>>

export interface ValueRow {
  /** `image.tag` */
  readonly path: string
  readonly doc: string
  readonly default: unknown
}

interface Comment {
  readonly doc: string
  readonly schema: JsonSchema | null
}

/** An unprivileged process cannot listen below. */
const MIN_PORT = 1024
const MAX_PORT = 65_535
/** The chart calculates with these, so they have to be there. */
const NEEDED_OPTIONS: readonly OptionKey[] = [
  'port',
  'opsPort',
  'maxSessions',
  'drainTimeoutMs',
  'drainSpreadMs',
  'flushTimeoutMs',
]
const KEY_LINE = /^( *)([A-Za-z][\w]*):/
const INDENT_CHARS = 2
const MAX_SHOWN_DEFAULT_CHARS = 60

export interface ChartDocuments {
  readonly schema: string
  readonly readme: string
}

export function renderChart(): ChartDocuments {
  const text = readFileSync(`${CHART_FOLDER}values.yaml`, 'utf8')
  const values = load(text) as Readonly<Record<string, unknown>>
  const comments = readComments(text)
  const rows: ValueRow[] = []
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of transcribe-relay',
    ...(describe(values, '', comments, rows) as object),
  }
  return { schema: `${JSON.stringify(schema, null, 2)}\n`, readme: renderReadme(rows) }
}

/** The comment above each key, by the key's path. */
function readComments(text: string): ReadonlyMap<string, Comment> {
  const comments = new Map<string, Comment>()
  const path: string[] = []
  let doc: string[] = []
  let schema: JsonSchema | null = null
  for (const line of text.split('\n')) {
    const comment = /^ *# (.*)$/.exec(line)?.[1]
    if (comment?.startsWith('-- ')) {
      doc = [comment.slice('-- '.length)]
      schema = null
    } else if (comment?.startsWith('@schema ')) {
      schema = JSON.parse(comment.slice('@schema '.length)) as JsonSchema
    } else if (comment !== undefined) {
      if (doc.length > 0) doc.push(comment)
    } else {
      const [, indent, key] = KEY_LINE.exec(line) ?? []
      if (indent !== undefined && key !== undefined) {
        path.splice(indent.length / INDENT_CHARS, Infinity, key)
        if (doc.length > 0) comments.set(path.join('.'), { doc: doc.join(' '), schema })
      }
      doc = []
      schema = null
    }
  }
  return comments
}

/** The schema of a value; its rows, and those below it, are added to `rows`. */
function describe(
  value: unknown,
  path: string,
  comments: ReadonlyMap<string, Comment>,
  rows: ValueRow[],
): JsonSchema {
  const comment = comments.get(path)
  if (comment?.schema === null || comment === undefined) {
    if (isObject(value)) return describeObject(value, path, comments, rows)
    if (comment === undefined) throw new Error(`values.yaml: ${path} has no documentation`)
  }
  rows.push({ path, doc: comment.doc, default: value })
  const schema = comment.schema ?? { type: typeof value }
  if ('$options' in schema) return { description: comment.doc, ...describeOptions() }
  return { description: comment.doc, ...schema }
}

function describeObject(
  value: Readonly<Record<string, unknown>>,
  path: string,
  comments: ReadonlyMap<string, Comment>,
  rows: ValueRow[],
): JsonSchema {
  const properties: Record<string, JsonSchema> = {}
  for (const [key, below] of Object.entries(value)) {
    properties[key] = describe(below, path === '' ? key : `${path}.${key}`, comments, rows)
  }
  // A chart that has this one as a dependency hands down its own `global`.
  if (path === '') properties['global'] = { type: 'object' }
  return { type: 'object', additionalProperties: false, properties }
}

/**
 * A secret would be readable in the ConfigMap: API keys come in a file of a mounted Secret (`apiKeysFile`), the URL of Redis
 * from `redis.existingSecret`.
 */
export const CHART_OPTION_KEYS = OPTION_KEYS.filter(key => !('secret' in definitionOf(key)))

function describeOptions(): JsonSchema {
  const properties = Object.fromEntries(CHART_OPTION_KEYS.map(key => [key, describeOption(key)]))
  return { type: 'object', additionalProperties: false, required: NEEDED_OPTIONS, properties }
}

function describeOption(key: OptionKey): JsonSchema {
  const definition = definitionOf(key)
  const description = `${definition.doc.replaceAll('`', '')} It ${describeBounds(definition)}.`
  switch (definition.kind) {
    case 'integer':
    case 'number': {
      const { kind: type, min, max, multipleOf, zeroIsOff } = definition
      const bounds = { minimum: min, maximum: max, ...(multipleOf === undefined ? {} : { multipleOf }) }
      if (zeroIsOff === true) return { description, type, anyOf: [{ const: 0 }, bounds] }
      return { description, type, ...bounds }
    }
    case 'port':
      return { description, type: 'integer', minimum: MIN_PORT, maximum: MAX_PORT }
    case 'count': {
      const { min, max } = definition
      return { description, anyOf: [{ const: 'auto' }, { type: 'integer', minimum: min, maximum: max }] }
    }
    case 'boolean':
      return { description, type: 'boolean' }
    case 'enum':
      return { description, type: 'string', enum: definition.values }
    case 'list':
      return { description, type: 'array', maxItems: definition.maxItems, items: { type: 'string' } }
    case 'regions':
      return {
        description,
        type: 'array',
        maxItems: definition.maxItems,
        items: { type: ['string', 'object'], required: ['region'] },
      }
    case 'parameters':
      return {
        description,
        type: 'object',
        maxProperties: definition.maxItems,
        propertyNames: { not: { enum: Object.keys(definition.refused) } },
        additionalProperties: { type: ['string', 'boolean', 'number'] },
      }
    default:
      return { description, type: definition.default === null ? ['string', 'null'] : 'string', minLength: 1 }
  }
}

function renderReadme(rows: readonly ValueRow[]): string {
  const table = rows.map(
    ({ path, doc, default: value }) =>
      `| \`${path}\` | ${showDefault(value)} | ${doc.replaceAll('|', '\\|')} |`,
  )
  return [
    '# transcribe-relay',
    '',
    'A WebSocket relay to Amazon Transcribe streaming, on Kubernetes 1.27 or later.',
    '',
    '<!-- Made by scripts/chart.ts from values.yaml. -->',
    '',
    '```sh',
    'helm install relay helm/transcribe-relay --values helm/transcribe-relay/examples/eks-pod-identity.yaml \\',
    '  --set image.repository=REGISTRY/transcribe-relay',
    'helm test --logs relay',
    '```',
    '',
    'From an empty cluster to a transcript: [docs/deploy-eks.md](../../docs/deploy-eks.md). Profiles to start from, in',
    '`examples/`:',
    '',
    '- `eks-pod-identity.yaml`: EKS, credentials by Pod Identity, an ALB',
    '- `eks-irsa.yaml`: EKS, credentials by a role of the service account',
    '- `spot.yaml`: on top of either, for nodes that go within two minutes',
    '- `redis.yaml`: on top of either, quotas of several regions shared by all pods through Redis',
    '- `kind.yaml`: a local cluster with the emulator in place of Amazon Transcribe',
    '',
    'Secrets are never made from values. Values that contradict each other, unknown ones too, are refused with a message.',
    '',
    '| value | default | what it does |',
    '| --- | --- | --- |',
    ...table,
    '',
  ].join('\n')
}

function showDefault(value: unknown): string {
  if (value === null) return 'not set'
  const json = JSON.stringify(value)
  return json.length > MAX_SHOWN_DEFAULT_CHARS ? 'see `values.yaml`' : `\`${json}\``
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { schema, readme } = renderChart()
  writeFileSync(`${CHART_FOLDER}values.schema.json`, schema)
  writeFileSync(`${CHART_FOLDER}README.md`, readme)
}
