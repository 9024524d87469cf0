/**
 * Keys and region for a single signature, found as the AWS tools find them. A command signs once, so nothing is kept
 * fresh here.
 */
import { RelayError } from '../errors.ts'
import type { AwsCredentials } from '../upstream/aws-credentials.ts'
import { assertUsableCredentials } from '../upstream/aws-credentials.ts'
import { createCredentialChain } from '../upstream/credential-chain.ts'
import { describeSafely } from '../upstream/credentials.ts'
import { resolveRegion } from '../upstream/region.ts'
import type { OptionRow } from './arguments.ts'
import type { Environment } from './command.ts'
import { CommandError } from './command.ts'

export const IDENTITY_ROWS: readonly OptionRow[] = [
  { flag: 'region', value: 'REGION', doc: 'AWS region. Else AWS_REGION, AWS_DEFAULT_REGION or the profile.' },
  { flag: 'profile', value: 'NAME', doc: 'Profile of the shared AWS files.', env: 'AWS_PROFILE' },
]

/** Throws `CommandError` with the reason; never with a key. */
export async function findCredentials(profile: string | undefined): Promise<AwsCredentials> {
  try {
    const credentials = await createCredentialChain({ profile, region: undefined })()
    assertUsableCredentials(credentials)
    return credentials
  } catch (error) {
    throw new CommandError(
      error instanceof RelayError
        ? error.message
        : `no AWS credentials were found (${describeSafely(error)})`,
      { cause: error },
    )
  }
}

/** Throws `CommandError` with the reason. */
export async function findRegion(
  region: string | undefined,
  profile: string | undefined,
  environment: Environment,
): Promise<string> {
  return (await withPlainErrors(() => resolveRegion({ region, profile, env: environment }))).region
}

/** Errors of the signer and its friends say in one line what is wrong: so does the command. */
export async function withPlainErrors<T>(action: () => Promise<T> | T): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof RelayError || error instanceof RangeError)
      throw new CommandError(error.message, { cause: error })
    throw error
  }
}
