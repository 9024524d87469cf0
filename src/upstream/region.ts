/**
 * Which region to dial when nobody says: option, `AWS_REGION`, `AWS_DEFAULT_REGION`, then the profile's `region` in
 * the shared files. Instance metadata is not asked: a start must not hang on a network that is not there.
 *
 * The AWS SDK for JavaScript does not read `AWS_DEFAULT_REGION`; every other SDK and the AWS CLI do, so operators
 * expect it.
 */
import { RelayError } from '../errors.ts'
import { REGION_PATTERN } from '../transcribe/regions.ts'

export interface RegionOptions {
  readonly region?: string | undefined
  readonly profile?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Reads the shared files. The AWS SDK's loader unless given. */
  readonly loadSharedFiles?: SharedFilesLoader
}

type Profiles = Readonly<Record<string, Readonly<Record<string, string | undefined>> | undefined>>

export interface SharedFiles {
  readonly configFile: Profiles
  readonly credentialsFile: Profiles
}

export type SharedFilesLoader = (paths: {
  filepath?: string
  configFilepath?: string
}) => Promise<SharedFiles>

export interface ResolvedRegion {
  readonly region: string
  readonly source: 'option' | 'AWS_REGION' | 'AWS_DEFAULT_REGION' | 'profile'
}

const MAX_SHOWN_CHARACTERS = 40

/** @throws {RelayError} `not_ready` when there is no region, `invalid_request` when it is not one. */
export async function resolveRegion(options: RegionOptions): Promise<ResolvedRegion> {
  const { env } = options
  if (options.region) return check(options.region, 'option')
  if (env['AWS_REGION']) return check(env['AWS_REGION'], 'AWS_REGION')
  if (env['AWS_DEFAULT_REGION']) return check(env['AWS_DEFAULT_REGION'], 'AWS_DEFAULT_REGION')
  const profile = options.profile ?? env['AWS_PROFILE'] ?? 'default'
  const fromProfile = await readProfileRegion(profile, options)
  if (fromProfile) return check(fromProfile, 'profile')
  throw new RelayError('not_ready', {
    message:
      'No AWS region: set the region option, AWS_REGION or AWS_DEFAULT_REGION, or a region in the profile ' +
      `"${profile.slice(0, MAX_SHOWN_CHARACTERS)}".`,
    detail: 'region_missing',
  })
}

async function readProfileRegion(profile: string, options: RegionOptions): Promise<string | undefined> {
  const { env, loadSharedFiles = loadSharedFilesOfSdk } = options
  const { configFile, credentialsFile } = await loadSharedFiles({
    ...(env['AWS_SHARED_CREDENTIALS_FILE'] ? { filepath: env['AWS_SHARED_CREDENTIALS_FILE'] } : {}),
    ...(env['AWS_CONFIG_FILE'] ? { configFilepath: env['AWS_CONFIG_FILE'] } : {}),
  })
  return credentialsFile[profile]?.['region'] ?? configFile[profile]?.['region']
}

/** Loaded late: a relay with AWS_REGION set never pays for it. */
async function loadSharedFilesOfSdk(paths: {
  filepath?: string
  configFilepath?: string
}): Promise<SharedFiles> {
  const { loadSharedConfigFiles } = await import('@smithy/core/config')
  return loadSharedConfigFiles({ ...paths, ignoreCache: true })
}

function check(region: string, source: ResolvedRegion['source']): ResolvedRegion {
  const trimmed = region.trim()
  if (REGION_PATTERN.test(trimmed) && !/^fips-|-fips/.test(trimmed)) return { region: trimmed, source }
  throw new RelayError('invalid_request', {
    message:
      `region is ${JSON.stringify(region.slice(0, MAX_SHOWN_CHARACTERS))} (from ${source}); it must look like ` +
      'us-east-1. For FIPS endpoints use the option for them.',
  })
}
