/**
 * Service and region out of an AWS host name: `[…].service.region.amazonaws.com` and its kin.
 */
import { REGION_PATTERN } from '../transcribe/regions.ts'

export interface AwsTarget {
  /** Name in the credential scope; `null`: the host does not tell. */
  readonly service: string | null
  readonly region: string | null
}

const SUFFIX =
  /\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws|on\.aws|c2s\.ic\.gov|csp\.hci\.ic\.gov)$/

/**
 * Host labels that are not the name in the signature (service endpoint tables of the AWS General Reference, and
 * `signingName` in the service models of the SDKs). Not every `bedrock-…`: `bedrock-agentcore` signs as itself.
 */
const SIGNING_NAMES: Readonly<Record<string, string>> = {
  transcribestreaming: 'transcribe',
  'bedrock-agent': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
  'bedrock-data-automation': 'bedrock',
  'bedrock-data-automation-runtime': 'bedrock',
  'bedrock-runtime': 'bedrock',
  's3-accesspoint': 's3',
  's3-control': 's3',
  email: 'ses',
  'lambda-url': 'lambda',
}

/** Labels that say how the host is reached, and not what it is (Amazon S3 guide, "dual-stack endpoints"; AWS PrivateLink). */
const WAYS = new Set(['dualstack', 'vpce'])

/** Services with one host for the world; they are signed for us-east-1. */
const GLOBAL = new Set(['iam', 'sts', 'route53', 'cloudfront', 's3'])

export function guessTarget(url: string): AwsTarget {
  const hostname = URL.canParse(url) ? new URL(url).hostname : ''
  if (!SUFFIX.test(hostname)) return { service: null, region: null }
  const labels = hostname
    .replace(SUFFIX, '')
    .split('.')
    .filter(label => !WAYS.has(label))
  const last = labels.at(-1) ?? ''
  if (labels.length > 1 && REGION_PATTERN.test(last)) {
    return { service: signingName(labels.at(-2) ?? ''), region: last }
  }
  return GLOBAL.has(last)
    ? { service: last, region: 'us-east-1' }
    : { service: signingName(last), region: null }
}

function signingName(label: string): string {
  const plain = label.replace(/-fips$/, '')
  return SIGNING_NAMES[plain] ?? plain
}
