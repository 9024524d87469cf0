/**
 * Rules between options: what a row alone cannot say.
 */
import { isIP } from 'node:net'
import type { OptionKey, RelayOptions } from './options.ts'

export interface OptionRule {
  readonly name: string
  /** The options concerned; the first is the one a problem is reported at. */
  readonly fields: readonly [OptionKey, ...OptionKey[]]
  /** What must hold, as the end of the sentence that starts with the first option. */
  readonly rule: string
  readonly holds: (options: RelayOptions) => boolean
}

/** Amazon Transcribe ends a stream after this long without audio. */
const UPSTREAM_SILENCE_LIMIT_MS = 15_000
/** One message of a client's largest results: the socket's buffer may overshoot its limit by one message. */
const LARGEST_RESULT_BYTES = 65_536
/** A program that authenticates by itself is exempt from this one. */
export const EXPOSURE_RULE = 'exposed-needs-auth'

const WILDCARD_HOSTS: readonly string[] = ['0.0.0.0', '::']

export const OPTION_RULES: readonly OptionRule[] = Object.freeze([
  {
    name: 'two-ports',
    fields: ['opsPort', 'port', 'opsHost', 'host'],
    rule: 'must differ from port, unless opsHost and host are different addresses',
    holds: ({ port, opsPort, host, opsHost }) =>
      port === 0 || port !== opsPort || (host !== opsHost && ![host, opsHost].some(isWildcard)),
  },
  {
    name: 'a-session-a-worker',
    fields: ['workers', 'maxSessions'],
    rule: 'must be at most maxSessions, which is divided among the workers',
    holds: ({ workers, maxSessions }) => workers === 'auto' || workers <= maxSessions,
  },
  {
    name: 'chunk-in-range',
    fields: ['chunkMs', 'minChunkMs', 'maxChunkMs'],
    rule: 'must be at least minChunkMs and at most maxChunkMs',
    holds: ({ chunkMs, minChunkMs, maxChunkMs }) => minChunkMs <= chunkMs && chunkMs <= maxChunkMs,
  },
  {
    name: 'partials-before-soft',
    fields: ['clientPartialsBufferBytes', 'clientSoftBufferBytes'],
    rule: 'must be at most clientSoftBufferBytes',
    holds: options => options.clientPartialsBufferBytes <= options.clientSoftBufferBytes,
  },
  {
    name: 'hard-buffer-doubles-soft',
    fields: ['clientHardBufferBytes', 'clientSoftBufferBytes'],
    rule: 'must be at least twice clientSoftBufferBytes',
    holds: options => options.clientHardBufferBytes >= 2 * options.clientSoftBufferBytes,
  },
  {
    name: 'hard-buffer-takes-a-message',
    fields: ['clientHardBufferBytes', 'clientSoftBufferBytes'],
    rule: `must be at least clientSoftBufferBytes + ${LARGEST_RESULT_BYTES}, so that an Error and a Close still fit`,
    holds: options => options.clientHardBufferBytes >= options.clientSoftBufferBytes + LARGEST_RESULT_BYTES,
  },
  {
    name: 'pending-takes-a-message',
    fields: ['pendingAudioBytes', 'maxMessageBytes'],
    rule: 'must be at least maxMessageBytes',
    holds: options => options.pendingAudioBytes >= options.maxMessageBytes,
  },
  {
    name: 'upstream-takes-the-pending',
    fields: ['upstreamBufferBytes', 'pendingAudioBytes'],
    rule: 'must be at least twice pendingAudioBytes, which is sent at once when the upstream opens',
    holds: options => options.upstreamBufferBytes >= 2 * options.pendingAudioBytes,
  },
  {
    name: 'end-before-upstream',
    fields: ['audioTimeoutMs', 'silence'],
    rule: `must be below ${UPSTREAM_SILENCE_LIMIT_MS} with silence = end, because Amazon Transcribe gives up then`,
    holds: options => options.silence !== 'end' || options.audioTimeoutMs < UPSTREAM_SILENCE_LIMIT_MS,
  },
  {
    name: 'lead-within-stream',
    fields: ['handoverLeadMs', 'maxStreamMs'],
    rule: 'must be below maxStreamMs',
    holds: options => options.handoverLeadMs < options.maxStreamMs,
  },
  {
    name: 'warn-within-session',
    fields: ['sessionWarningMs', 'maxSessionMs'],
    rule: 'must be below maxSessionMs',
    holds: options => options.sessionWarningMs < options.maxSessionMs,
  },
  {
    name: 'lag-recovers',
    fields: ['overloadLagRecoveryMs', 'overloadLagMs'],
    rule: 'must be below overloadLagMs',
    holds: options => options.overloadLagRecoveryMs < options.overloadLagMs,
  },
  {
    name: 'memory-recovers',
    fields: ['overloadMemoryRecoveryRatio', 'overloadMemoryRatio'],
    rule: 'must be below overloadMemoryRatio',
    holds: options => options.overloadMemoryRecoveryRatio < options.overloadMemoryRatio,
  },
  {
    name: 'files-recover',
    fields: ['overloadFilesRecoveryRatio', 'overloadFilesRatio'],
    rule: 'must be below overloadFilesRatio',
    holds: options => options.overloadFilesRecoveryRatio < options.overloadFilesRatio,
  },
  {
    name: 'deadline-takes-a-connect',
    fields: ['dialDeadlineMs', 'connectTimeoutMs'],
    rule: 'must be at least connectTimeoutMs',
    holds: options => options.dialDeadlineMs >= options.connectTimeoutMs,
  },
  {
    name: 'deadline-takes-credentials',
    fields: ['dialDeadlineMs', 'credentialsTimeoutMs'],
    rule: 'must be at least credentialsTimeoutMs',
    holds: options => options.dialDeadlineMs >= options.credentialsTimeoutMs,
  },
  {
    name: 'signature-outlives-connect',
    fields: ['presignExpiresSeconds', 'connectTimeoutMs'],
    rule: 'must be at least connectTimeoutMs, or a slow connection ends in a refused signature',
    holds: options => options.presignExpiresSeconds * 1000 >= options.connectTimeoutMs,
  },
  {
    name: 'endpoint-or-variant',
    fields: ['endpoint', 'fips', 'dualStack'],
    rule: 'must not be given with fips or dualStack, which choose between the public endpoints',
    holds: options => options.endpoint === null || !(options.fips || options.dualStack),
  },
  {
    name: 'region-or-regions',
    fields: ['regions', 'region', 'endpoint'],
    rule: 'must not be given with region or endpoint: each item says its own',
    holds: ({ endpoint, region, regions }) => regions.length === 0 || (region === null && endpoint === null),
  },
  {
    name: 'region-hosts-or-variant',
    fields: ['regions', 'fips', 'dualStack'],
    rule: 'must not have an endpoint with fips or dualStack, which choose between the public endpoints',
    holds: ({ dualStack, fips, regions }) =>
      !(fips || dualStack) || regions.every(({ endpoint }) => endpoint === undefined),
  },
  {
    name: 'a-stream-a-share',
    fields: ['quotaShares', 'regionStreams', 'regions'],
    rule: 'must be at most the streams of each region, or a relay would have none',
    holds: ({ quotaShares, regionStreams, regions }) =>
      [regionStreams, ...regions.map(({ streams }) => streams ?? 0)].every(
        streams => streams === 0 || quotaShares <= streams,
      ),
  },
  {
    name: 'lease-outlives-its-renewal',
    fields: ['redisLeaseMs', 'redisTimeoutMs'],
    rule: 'must be at least four times redisTimeoutMs, or a slow answer costs a lease',
    holds: ({ redisLeaseMs, redisTimeoutMs }) => redisLeaseMs >= 4 * redisTimeoutMs,
  },
  {
    name: EXPOSURE_RULE,
    fields: ['host', 'auth', 'insecure'],
    rule: 'must be loopback (127.0.0.1, ::1, localhost) while auth lets anybody in: set auth to keys or jwt, or insecure to true where something in front of the relay authenticates',
    holds: ({ auth, host, insecure }) => insecure || !letsAnybodyIn(auth) || isLoopback(host),
  },
  {
    name: 'keys-from-somewhere',
    fields: ['auth', 'apiKeysFile', 'apiKeys'],
    rule: 'must not hold keys without apiKeysFile or apiKeys, which say what the keys are',
    holds: ({ auth, apiKeys, apiKeysFile }) =>
      !auth.includes('keys') || apiKeysFile !== null || apiKeys.length > 0,
  },
  {
    name: 'keys-are-asked-for',
    fields: ['apiKeysFile', 'apiKeys', 'auth'],
    rule: 'must come with keys in auth, and so must apiKeys: nobody is asked for a key otherwise',
    holds: ({ auth, apiKeys, apiKeysFile }) =>
      auth.includes('keys') || (apiKeysFile === null && apiKeys.length === 0),
  },
  {
    name: 'jwt-says-whose',
    fields: ['auth', 'jwtIssuer', 'jwtAudience'],
    rule: 'must not hold jwt without jwtIssuer and jwtAudience: a token of another service would do',
    holds: ({ auth, jwtAudience, jwtIssuer }) =>
      !auth.includes('jwt') || (jwtIssuer !== null && jwtAudience !== null),
  },
  {
    name: 'jwt-keys-from-one-place',
    fields: ['auth', 'jwtKeysFile', 'jwksUrl'],
    rule: 'must come with jwtKeysFile or jwksUrl where it holds jwt, and with one of them only',
    holds: ({ auth, jwksUrl, jwtKeysFile }) =>
      !auth.includes('jwt') || (jwtKeysFile === null) !== (jwksUrl === null),
  },
  {
    name: 'secrets-from-files',
    fields: ['jwtAlgorithms', 'jwksUrl'],
    rule: 'must not hold HS256 to HS512 with jwksUrl: their key is a secret, and what has a URL is none',
    holds: ({ jwksUrl, jwtAlgorithms }) =>
      jwksUrl === null || !jwtAlgorithms.some(name => name.startsWith('HS')),
  },
  {
    name: 'some-algorithm',
    fields: ['jwtAlgorithms', 'auth'],
    rule: 'must not be empty where auth holds jwt',
    holds: ({ auth, jwtAlgorithms }) => !auth.includes('jwt') || jwtAlgorithms.length > 0,
  },
  {
    name: 'signing-keys-by-tls',
    fields: ['jwksUrl'],
    rule: 'must be an https URL, or of loopback',
    holds: ({ jwksUrl }) =>
      jwksUrl === null || jwksUrl.startsWith('https:') || isLoopback(unbracket(new URL(jwksUrl).hostname)),
  },
  {
    name: 'signing-keys-in-time',
    fields: ['jwksTimeoutMs', 'handshakeTimeoutMs', 'jwksUrl'],
    rule: 'must be below handshakeTimeoutMs, or a slow provider is told as a slow relay',
    holds: ({ handshakeTimeoutMs, jwksTimeoutMs, jwksUrl }) =>
      jwksUrl === null || jwksTimeoutMs < handshakeTimeoutMs,
  },
  {
    name: 'tokens-for-keys',
    fields: ['auth'],
    rule: 'must hold keys where it holds tokens: a token is given out for an API key',
    holds: ({ auth }) => !auth.includes('tokens') || auth.includes('keys'),
  },
  {
    name: 'tokens-of-every-worker',
    fields: ['tokenSecretFile', 'workers', 'auth'],
    rule: 'must be given with tokens in auth and more than one worker, or each takes only tokens of its own',
    holds: ({ auth, tokenSecretFile, workers }) =>
      !auth.includes('tokens') || workers === 1 || tokenSecretFile !== null,
  },
  {
    name: 'tls-takes-both',
    fields: ['tlsKeyFile', 'tlsCertFile'],
    rule: 'must be given with tlsCertFile, and tlsCertFile with it',
    holds: ({ tlsCertFile, tlsKeyFile }) => (tlsCertFile === null) === (tlsKeyFile === null),
  },
  {
    name: 'proxies-are-networks',
    fields: ['trustedProxies'],
    rule: 'must hold addresses and networks only, like 192.0.2.7, 10.0.0.0/8 or fd00::/8',
    holds: ({ trustedProxies }) => trustedProxies.every(isNetwork),
  },
  {
    name: 'proxy-protocol-of-somebody',
    fields: ['proxyProtocol', 'trustedProxies'],
    rule: 'must come with trustedProxies, which say whose header counts',
    holds: ({ proxyProtocol, trustedProxies }) => !proxyProtocol || trustedProxies.length > 0,
  },
  {
    name: 'proxy-protocol-without-tls',
    fields: ['proxyProtocol', 'tlsCertFile'],
    rule: 'must not be given with tlsCertFile: its header would have to come before TLS',
    holds: ({ proxyProtocol, tlsCertFile }) => !proxyProtocol || tlsCertFile === null,
  },
] satisfies OptionRule[])

function isNetwork(text: string): boolean {
  const [address = '', prefix = '0'] = text.split('/')
  const family = isIP(address)
  return family !== 0 && Number(prefix) <= (family === 4 ? 32 : 128)
}

/** `[::1]` → `::1` */
function unbracket(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}

/** Whether a client need not show who it is. An empty list asks for nothing either. */
export function letsAnybodyIn(auth: readonly string[]): boolean {
  return auth.length === 0 || auth.includes('none')
}

/** Whether nobody but this machine can reach the address. A name other than localhost may be anything. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

function isWildcard(host: string): boolean {
  return WILDCARD_HOSTS.includes(host)
}
