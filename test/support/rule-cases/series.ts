/**
 * For each alert what makes it fire, and what does not. Series are those of one minute steps in the notation of
 * promtool: `0+6x30` is 0, 6, 12 … for thirty minutes. Labels `namespace` and `job` are added to every series.
 */

export interface RuleCase {
  /** Series by selector. */
  readonly series: Readonly<Record<string, string>>
  /** When to look, such as `20m`. */
  readonly at: string
}

export interface FiringCase extends RuleCase {
  /** Labels of the alert besides severity, namespace and job; an empty one is none; `null`: not even those two. */
  readonly labels: Readonly<Record<string, string>> | null
  readonly description: string
}

export interface AlertCases {
  readonly fires: readonly FiringCase[]
  readonly quiet: readonly (RuleCase & { readonly why: string })[]
}

export const CLOSED = 'transcribe_relay_sessions_closed_total'
export const OK = `${CLOSED}{class="ok",reason="normal",instance="a"}`
export const BAD = `${CLOSED}{class="upstream_error",reason="upstream_closed",instance="a"}`
export const INTERNAL = `${CLOSED}{class="server_error",reason="internal",instance="a"}`
export const READY = 'transcribe_relay_ready{instance="a"}'
export const DRAINING = 'transcribe_relay_draining{instance="a"}'
export const BUILD = 'transcribe_relay_build_info{instance="a",version="1"}'
export const FATAL = 'transcribe_relay_log_lines_total{level="fatal",instance="a"}'
export const CONNECT_OK = 'transcribe_relay_upstream_connects_total{outcome="ok",reason="none",instance="a"}'
export const CONNECT_DNS =
  'transcribe_relay_upstream_connects_total{outcome="error",reason="dns",instance="a"}'
export const CONNECT_429 =
  'transcribe_relay_upstream_connects_total{outcome="error",reason="http_429",instance="a"}'
export const LIMIT =
  'transcribe_relay_upstream_exceptions_total{exception="LimitExceededException",instance="a"}'
export const BAD_REQUEST =
  'transcribe_relay_upstream_exceptions_total{exception="BadRequestException",instance="a"}'
export const REFRESH_ERROR = 'transcribe_relay_credential_refreshes_total{outcome="error",instance="a"}'
export const EXPIRY = 'transcribe_relay_credentials_expiry_timestamp_seconds{instance="a"}'
export const ACTIVE = 'transcribe_relay_sessions_active'
export const LIMIT_OF_SESSIONS = 'transcribe_relay_sessions_limit'
export const HPA = '{horizontalpodautoscaler="live-transcribe-relay"}'

/** For values that the notation cannot repeat. */
export function always(value: string): string {
  return Array.from({ length: 40 }, () => value).join(' ')
}

/** All of the observations in the bucket below `le`, so many a minute. */
export function histogram(name: string, below: string, perMinute: number): Readonly<Record<string, string>> {
  return {
    [`${name}_bucket{le="0.1",instance="a"}`]: '0x60',
    [`${name}_bucket{le="${below}",instance="a"}`]: `0+${perMinute}x60`,
    [`${name}_bucket{le="+Inf",instance="a"}`]: `0+${perMinute}x60`,
  }
}

export function rejected(reason: string, perMinute: number): Readonly<Record<string, string>> {
  return {
    [`transcribe_relay_handshakes_total{outcome="rejected",reason="${reason}",instance="a"}`]: `0+${perMinute}x60`,
  }
}
