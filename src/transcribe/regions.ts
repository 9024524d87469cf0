/**
 * What is known of AWS regions: partitions and their host suffixes, and where the service streams.
 *
 * Regions appear faster than lists, so only what is known not to work is refused (see endpoints.ts).
 *
 * Sources: partition table and endpoint list of the AWS SDKs; Developer Guide, "What is Amazon Transcribe?".
 */

export interface Partition {
  readonly id: string
  readonly regionPattern: RegExp
  readonly dnsSuffix: string
  /** Suffix of host names that have IPv4 and IPv6 addresses. */
  readonly dualStackSuffix: string
}

const AWS: Partition = {
  id: 'aws',
  regionPattern: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$/,
  dnsSuffix: 'amazonaws.com',
  dualStackSuffix: 'api.aws',
}

export const PARTITIONS: readonly Partition[] = Object.freeze([
  AWS,
  {
    id: 'aws-cn',
    regionPattern: /^cn-\w+-\d+$/,
    dnsSuffix: 'amazonaws.com.cn',
    dualStackSuffix: 'api.amazonwebservices.com.cn',
  },
  {
    id: 'aws-us-gov',
    regionPattern: /^us-gov-\w+-\d+$/,
    dnsSuffix: 'amazonaws.com',
    dualStackSuffix: 'api.aws',
  },
  {
    id: 'aws-eusc',
    regionPattern: /^eusc-de-\w+-\d+$/,
    dnsSuffix: 'amazonaws.eu',
    dualStackSuffix: 'api.amazonwebservices.eu',
  },
  {
    id: 'aws-iso',
    regionPattern: /^us-iso-\w+-\d+$/,
    dnsSuffix: 'c2s.ic.gov',
    dualStackSuffix: 'api.aws.ic.gov',
  },
  {
    id: 'aws-iso-b',
    regionPattern: /^us-isob-\w+-\d+$/,
    dnsSuffix: 'sc2s.sgov.gov',
    dualStackSuffix: 'api.aws.scloud',
  },
  {
    id: 'aws-iso-e',
    regionPattern: /^eu-isoe-\w+-\d+$/,
    dnsSuffix: 'cloud.adc-e.uk',
    dualStackSuffix: 'api.cloud-aws.adc-e.uk',
  },
  {
    id: 'aws-iso-f',
    regionPattern: /^us-isof-\w+-\d+$/,
    dnsSuffix: 'csp.hci.ic.gov',
    dualStackSuffix: 'api.aws.hci.ic.gov',
  },
])

/** Form of every region's name. It becomes a part of a host name, so nothing else passes. */
export const REGION_PATTERN = /^[a-z]{2,4}(?:-[a-z]{2,12}){1,2}-\d{1,2}$/

export const STREAMING_REGIONS: ReadonlySet<string> = words(`
  af-south-1 ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-5 ap-southeast-7
  ca-central-1 eu-central-1 eu-central-2 eu-west-1 eu-west-2 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-2
  cn-north-1 cn-northwest-1 us-gov-east-1 us-gov-west-1 us-iso-east-1 us-isof-east-1 us-isof-south-1`)

/** Known not to stream; all but ap-northeast-3 have batch jobs. Their streaming host names do not resolve. */
export const REGIONS_WITHOUT_STREAMING: ReadonlySet<string> = words(
  'us-west-1 eu-west-3 eu-north-1 ap-east-1 me-south-1 ap-northeast-3',
)

export const FIPS_REGIONS: ReadonlySet<string> = words(
  'us-east-1 us-east-2 us-west-2 ca-central-1 us-gov-east-1 us-gov-west-1',
)

export const REGIONS_WITHOUT_DUAL_STACK: ReadonlySet<string> = words(
  'ap-southeast-5 ap-southeast-7 eu-central-2 mx-central-1',
)

/** Where streams find personal data. */
export const PII_REGIONS: ReadonlySet<string> = words(`
  ap-northeast-1 ap-northeast-2 ap-southeast-2 ca-central-1 eu-central-1 eu-west-1 eu-west-2 us-east-1 us-east-2
  us-west-2`)

/** Where the languages of RECENT_LANGUAGE_CODES are missing. */
export const REGIONS_WITHOUT_RECENT_LANGUAGES: ReadonlySet<string> = words(
  'af-south-1 ap-northeast-1 ap-southeast-5 ap-southeast-7 cn-northwest-1',
)

/** The partition of a region; the commercial one, as the SDKs do, when none matches. */
export function partitionOf(region: string): Partition {
  return PARTITIONS.find(({ regionPattern }) => regionPattern.test(region)) ?? AWS
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/))
}
