/**
 * The verifier of JWTs with its keys, from the options: from a file that is watched, or from a URL.
 */
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { SigningKeys } from './jwk-set.ts'
import { MAX_KEY_SET_BYTES, parseKeySet } from './jwk-set.ts'
import { JwtVerifier } from './jwt.ts'
import type { AccessLog, AccessOptions } from './options.ts'
import { RemoteKeys } from './remote-keys.ts'
import { WatchedFile } from './watched-file.ts'

/** Something that runs beside the guard. */
export interface GuardPart {
  start(): Promise<void>
  close(): void
}

export interface JwtParts {
  readonly verifier: JwtVerifier
  readonly part: GuardPart
}

/** The options have been checked: issuer, audience and one source of keys are there. */
export function createJwtParts(options: AccessOptions, clock: Clock, log: AccessLog): JwtParts {
  const source =
    options.jwksUrl === null ? fileKeys(options, clock, log) : urlKeys(options.jwksUrl, options, clock, log)
  const verifier = new JwtVerifier(
    source.find,
    {
      issuer: options.jwtIssuer ?? '',
      audience: options.jwtAudience ?? '',
      algorithms: options.jwtAlgorithms,
      type: options.jwtType,
      leewaySeconds: options.jwtLeewaySeconds,
      grantsClaim: options.jwtGrantsClaim,
    },
    clock,
  )
  return { verifier, part: source }
}

type KeySource = GuardPart & Pick<SigningKeys, 'find'>

function fileKeys({ jwtKeysFile }: AccessOptions, clock: Clock, log: AccessLog): KeySource {
  let keys: SigningKeys | null = null
  const file = new WatchedFile({
    path: jwtKeysFile ?? '',
    maxBytes: MAX_KEY_SET_BYTES,
    clock,
    onContent: (text, name) => {
      keys = parseKeySet(text, name, false)
    },
    onReload: name => log.fileOnReload(name, keys?.size ?? 0),
    onFailure: (name, error) => log.fileOnFailure(name, error),
  })
  return {
    start: () => file.start(),
    close: () => file.close(),
    find: async (header, token) => {
      if (keys === null) throw new RelayError('auth_unavailable')
      return keys.find(header, token)
    },
  }
}

function urlKeys(url: string, options: AccessOptions, clock: Clock, log: AccessLog): KeySource {
  const remote = new RemoteKeys({
    url,
    refreshMs: options.jwksRefreshSeconds * 1000,
    retryMs: options.jwksRetrySeconds * 1000,
    timeoutMs: options.jwksTimeoutMs,
    clock,
    onLoad: (keys, error) => log.signingKeysOnLoad(keys, error),
  })
  return {
    // The relay starts without them: their server may start later.
    start: async () => remote.start(),
    close: () => remote.close(),
    find: remote.find,
  }
}
