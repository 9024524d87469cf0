/**
 * The credentials of each region: those of the relay, or of a role that they assume. Regions with the same role share one
 * source.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { AwsCredentials } from '../upstream/aws-credentials.ts'
import type { CredentialProvider } from '../upstream/credential-chain.ts'
import { createCredentialChain, createRoleProvider } from '../upstream/credential-chain.ts'
import type { CredentialFigures, CredentialReadiness, CredentialSource } from '../upstream/credentials.ts'
import { createCredentialSource, createStaticCredentials } from '../upstream/credentials.ts'
import type { Region } from '../upstream/regions.ts'

export class RegionCredentials {
  readonly #sources = new Map<string, CredentialSource>()

  constructor(
    options: RelayOptions,
    regions: readonly Region[],
    { clock, credentials }: { readonly clock: Clock; readonly credentials: AwsCredentials | undefined },
  ) {
    for (const region of regions) {
      const key = keyOf(region)
      if (!this.#sources.has(key)) this.#sources.set(key, createSource(options, region, clock, credentials))
    }
  }

  of(region: Region): CredentialSource {
    const source = this.#sources.get(keyOf(region))
    if (source === undefined) throw new RangeError(`no credentials for ${region.name}`)
    return source
  }

  /** Ready as soon as one region is. */
  readiness(): CredentialReadiness {
    const all = [...this.#sources.values()].map(source => source.readiness())
    return all.find(({ ready }) => ready) ?? all[0] ?? { ready: false, reason: 'credentials_pending' }
  }

  /** Of all sources together; the earliest end. */
  get figures(): CredentialFigures {
    const all = [...this.#sources.values()].map(({ figures }) => figures)
    const ends = all.map(({ expiresAtMs }) => expiresAtMs).filter(endMs => endMs !== null)
    return {
      refreshesOk: all.reduce((sum, { refreshesOk }) => sum + refreshesOk, 0),
      refreshesFailed: all.reduce((sum, { refreshesFailed }) => sum + refreshesFailed, 0),
      expiresAtMs: ends.length === 0 ? null : Math.min(...ends),
    }
  }

  start(): void {
    for (const source of this.#sources.values()) source.start()
  }

  close(): void {
    for (const source of this.#sources.values()) source.close()
  }
}

function keyOf({ role }: Region): string {
  return role === null ? '' : `${role.arn} ${role.externalId ?? ''}`
}

function createSource(
  options: RelayOptions,
  { name, role }: Region,
  clock: Clock,
  fixed: AwsCredentials | undefined,
): CredentialSource {
  const { credentialsRefreshBeforeMs: refreshBeforeMs, credentialsTimeoutMs: timeoutMs } = options
  const profile = options.profile ?? undefined
  if (role === null) {
    if (fixed !== undefined) return createStaticCredentials(fixed, clock)
    return createCredentialSource({ clock, profile, region: name, refreshBeforeMs, timeoutMs })
  }
  // A chain of its own for each refresh: one that hangs would hang for whoever asks it next.
  const master: CredentialProvider = async given =>
    fixed ?? createCredentialChain({ profile, region: name })(given)
  const provider = createRoleProvider({ ...role, region: name, master })
  return createCredentialSource({ clock, provider, refreshBeforeMs, timeoutMs })
}
