/**
 * The credential chain of the AWS SDK for Node.js: environment, shared files (with SSO, assumed roles and processes),
 * web identity token (IRSA), container endpoint (ECS, EKS Pod Identity), instance metadata.
 */
import type { AwsCredentials } from './aws-credentials.ts'

/** Anything that yields credentials; the providers of the AWS SDK fit. `forceRefresh`: not from a cache. */
export type CredentialProvider = (options?: { readonly forceRefresh?: boolean }) => Promise<AwsCredentials>

export interface CredentialChainOptions {
  /** Profile of the shared files; `AWS_PROFILE` or `default` unless given. */
  readonly profile?: string | undefined
  /** Region of AWS STS for assumed roles. */
  readonly region?: string | undefined
}

/**
 * The SDK is loaded by the first call: it takes a while, and a relay with other credentials does without it. Shared
 * files are read anew at each refresh, so that keys replaced on disk are noticed.
 */
export function createCredentialChain({ profile, region }: CredentialChainOptions): CredentialProvider {
  let chain: Promise<CredentialProvider> | undefined
  async function loadChain(): Promise<CredentialProvider> {
    const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers')
    return fromNodeProviderChain({
      ignoreCache: true,
      ...(profile === undefined ? {} : { profile }),
      ...(region === undefined ? {} : { clientConfig: { region } }),
    })
  }
  return async options => {
    chain ??= loadChain()
    const provider = await chain
    return provider(options)
  }
}

export interface RoleOptions {
  readonly arn: string
  readonly externalId: string | null
  /** Region of AWS STS. */
  readonly region: string
  /** Of AWS STS, instead of the public one of the region. */
  readonly endpoint?: string
  /** Whose credentials assume it. */
  readonly master: CredentialProvider
}

/** Name of the sessions of a role, in the trail of whoever audits the account. */
const ROLE_SESSION_NAME = 'transcribe-relay'

/**
 * Credentials of an assumed role. Master credentials and client are new each time: the SDK's own provider keeps the first
 * master credentials for ever, and those of a pod or an instance end after hours.
 */
export function createRoleProvider({
  arn,
  endpoint,
  externalId,
  master,
  region,
}: RoleOptions): CredentialProvider {
  return async () => {
    const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers')
    const { accessKeyId, secretAccessKey, sessionToken } = await master({ forceRefresh: true })
    const assume = fromTemporaryCredentials({
      masterCredentials: {
        accessKeyId,
        secretAccessKey,
        ...(sessionToken === undefined ? {} : { sessionToken }),
      },
      params: {
        RoleArn: arn,
        RoleSessionName: ROLE_SESSION_NAME,
        ...(externalId === null ? {} : { ExternalId: externalId }),
      },
      clientConfig: { region, ...(endpoint === undefined ? {} : { endpoint }) },
    })
    return assume()
  }
}
