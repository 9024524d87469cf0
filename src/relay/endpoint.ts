/**
 * Where every session of a relay goes, from its options and the environment; what is wrong there is a problem of an option.
 */
import type { RelayOptions } from '../config/options.ts'
import { ConfigError } from '../config/problems.ts'
import { RelayError } from '../errors.ts'
import type { Endpoint } from '../transcribe/endpoints.ts'
import { EndpointError, resolveEndpoint } from '../transcribe/endpoints.ts'
import { resolveRegion } from '../upstream/region.ts'

/** @throws ConfigError naming the option. */
export async function findEndpoint(
  { dualStack, endpoint: endpointOverride, fips, profile, region: given }: RelayOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Endpoint> {
  try {
    const { region } = await resolveRegion({
      region: given ?? undefined,
      profile: profile ?? undefined,
      env,
    })
    return resolveEndpoint({ region, fips, dualStack, endpointOverride })
  } catch (error) {
    if (error instanceof EndpointError) {
      throw badOption(error.field === 'region' ? 'region' : 'endpoint', error.value, error.rule)
    }
    if (error instanceof RelayError) throw badOption('region', null, `cannot be found. ${error.message}`)
    throw error
  }
}

export function badOption(name: keyof RelayOptions, value: string | null, rule: string): ConfigError {
  return new ConfigError([{ path: `option ${name}`, value, rule }])
}
