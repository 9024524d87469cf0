/**
 * AWS keys as the signer takes them, and what is wrong with a set of them before anything is sent.
 *
 * Shaped like `AwsCredentialIdentity` of the AWS SDK, so that its providers fit without an adapter.
 */
import { RelayError } from '../errors.ts'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Present for temporary credentials. Part of the signature. */
  readonly sessionToken?: string | undefined
  /** When temporary credentials end; absent: never. */
  readonly expiration?: Date | undefined
}

/** Closed list, so that it can be a label. */
export type CredentialProblem = 'access_key_missing' | 'secret_key_missing' | 'session_token_missing'

/** Prefix of the access key ids that AWS STS gives out (IAM user guide, "IAM identifiers"). */
const TEMPORARY_KEY_PREFIX = 'ASIA'

const PROBLEM_MESSAGES: Readonly<Record<CredentialProblem, string>> = {
  access_key_missing: 'The AWS credentials have no access key id.',
  secret_key_missing: 'The AWS credentials have no secret access key.',
  session_token_missing:
    'The AWS access key id starts with ASIA, so it is temporary and needs its session token (AWS_SESSION_TOKEN).',
}

export function findCredentialProblem(credentials: AwsCredentials): CredentialProblem | null {
  if (!credentials.accessKeyId) return 'access_key_missing'
  if (!credentials.secretAccessKey) return 'secret_key_missing'
  if (credentials.accessKeyId.startsWith(TEMPORARY_KEY_PREFIX) && !credentials.sessionToken) {
    return 'session_token_missing'
  }
  return null
}

/** @throws {RelayError} `not_ready`, `detail` is the `CredentialProblem`. */
export function assertUsableCredentials(credentials: AwsCredentials): void {
  const problem = findCredentialProblem(credentials)
  if (problem === null) return
  throw new RelayError('not_ready', { message: PROBLEM_MESSAGES[problem], detail: problem })
}

/** Wall clock, ms since 1970, at which the credentials end; `null`: they do not. */
export function expiryOf(credentials: AwsCredentials): number | null {
  return credentials.expiration?.getTime() ?? null
}
