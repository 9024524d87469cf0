/**
 * The value of an option of kind `regions`: an ordered list, each item the name of a region or an object.
 *
 *     ["us-east-1", {"region": "us-west-2", "streams": 50, "roleArn": "arn:aws:iam::111122223333:role/relay"}]
 */
import { z } from 'zod'
import { REGION_PATTERN } from '../transcribe/regions.ts'
import type { RegionOption } from './definition.ts'

export const MAX_REGION_STREAMS = 100_000
export const MAX_REGION_STARTS_PER_SECOND = 10_000

/** IAM user guide, "IAM identifiers": partition, account, path and name of a role. */
const ROLE_PATTERN = /^arn:aws[a-z-]{0,16}:iam::\d{12}:role\/[\x21-\x7e]{1,576}$/
/** STS API reference, AssumeRole: 2 to 1224 characters. */
const EXTERNAL_ID_PATTERN = /^[\w+=,.@:/-]{2,1224}$/
const ENDPOINT_PATTERN = /^(?:wss?|https?):\/\/[^\s/?#@]{1,255}\/?$/

const regionSchema = z.strictObject({
  region: z.string().regex(REGION_PATTERN),
  endpoint: z.string().regex(ENDPOINT_PATTERN).optional(),
  streams: z.int().min(0).max(MAX_REGION_STREAMS).optional(),
  startsPerSecond: z.number().min(0).max(MAX_REGION_STARTS_PER_SECOND).optional(),
  roleArn: z.string().regex(ROLE_PATTERN).optional(),
  roleExternalId: z.string().regex(EXTERNAL_ID_PATTERN).optional(),
})

export type CheckedRegions =
  | { readonly ok: true; readonly value: readonly RegionOption[] }
  | { readonly ok: false; readonly rule: string }

export function checkRegions(value: unknown, maxItems: number): CheckedRegions {
  const rule = describeRegions(maxItems)
  if (!Array.isArray(value) || value.length > maxItems) return { ok: false, rule }
  const regions: RegionOption[] = []
  for (const item of value) {
    const result = regionSchema.safeParse(typeof item === 'string' ? { region: item } : item)
    if (!result.success) return { ok: false, rule }
    const entry = result.data
    if (entry.roleExternalId !== undefined && entry.roleArn === undefined) return { ok: false, rule }
    if (regions.some(({ region }) => region === entry.region)) return { ok: false, rule }
    regions.push(Object.freeze(entry))
  }
  return { ok: true, value: Object.freeze(regions) }
}

/** The rule in words. */
export function describeRegions(maxItems: number): string {
  return (
    `must be a list of at most ${maxItems} regions, each once: a region code such as us-east-1, or an object with region ` +
    `and any of endpoint (ws, wss, http or https, a host and nothing behind it), streams (0 to ${MAX_REGION_STREAMS}), ` +
    `startsPerSecond (0 to ${MAX_REGION_STARTS_PER_SECOND}), roleArn (of an IAM role) and, with it, roleExternalId`
  )
}
