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

/** Host labels that are not the name in the signature (service endpoint tables of the AWS General Reference). */
const SIGNING_NAMES: Readonly<Record<string, string>> = {
  transcribestreaming: 'transcribe',
  'bedrock-runtime': 'bedrock',
  email: 'ses',
  'lambda-url': 'lambda',
}

/** Services with one host for the world; they are signed for us-east-1. */
const GLOBAL = new Set(['iam', 'sts', 'route53', 'cloudfront', 's3'])

export function guessTarget(url: string): AwsTarget {
  const hostname = URL.canParse(url) ? new URL(url).hostname : ''
  if (!SUFFIX.test(hostname)) return { service: null, region: null }
  const labels = hostname.replace(SUFFIX, '').split('.')
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
