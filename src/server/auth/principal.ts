/**
 * Who a client is, once it is known, and how the guard of the client port is asked.
 */
import type { StreamQuery } from '../../protocol/stream-request.ts'
import type { ClientAccess } from '../../session/host.ts'
import type { Handshake } from '../handshake.ts'
import type { KeyStanding } from './api-keys.ts'
import type { ClientToken, IssuedToken } from './client-tokens.ts'
import type { Grants } from './grants.ts'

/** How a client showed who it is. `none`: it was not asked. */
export type AuthMethod = 'none' | 'key' | 'jwt' | 'token'

export interface Principal {
  /** For the log, and what limits are counted by. `null` for clients that were not asked. */
  readonly name: string | null
  readonly method: AuthMethod
  readonly grants: Grants
  /** Of a token of an identity provider, ms since 1970; absent: it does not expire in the middle of a session. */
  readonly expiresAtMs?: number
  /** Of the API key that it showed, or that its token was given for. */
  readonly standing?: KeyStanding
  /** Of `method` token. It is used up when the client is admitted, and not when it is refused. */
  readonly token?: ClientToken
}

/** Who may go on with a session of this principal, and what its sessions are counted by; `null`: it was not asked. */
export function ownerOf(principal: Pick<Principal, 'name' | 'method'> | null): string | null {
  if (principal === null || principal.name === null) return null
  // The tokens of a key are the key's.
  return `${principal.method === 'jwt' ? 'jwt' : 'key'}:${principal.name}`
}

/** A client that is in. It counts until one of the two is called, once. */
export interface AdmittedClient extends ClientAccess {
  /** Its socket and its session are closed. */
  release(): void
  /** It was refused after all, before its session was opened. Resolves when its token is as it was before; never rejects. */
  cancel(): Promise<void>
}

/** Decides who may come in. Every method throws a `RelayError` to refuse. */
export interface ClientGuard {
  /** Origin and rates: cheap, and before anything else of the request is believed. */
  screen(handshake: Handshake): void
  /** Who it is. Without a promise where nothing has to be waited for. */
  authenticate(handshake: Handshake): Promise<Principal> | Principal
  /** What it may do, and that its limits are not reached. With a promise where others are asked about its token. */
  admit(
    principal: Principal,
    handshake: Handshake,
    query: StreamQuery,
  ): Promise<AdmittedClient> | AdmittedClient
  /** The query without what is the guard's own: a token that stood in it. */
  streamQuery(handshake: Handshake): string
  /** Whether tokens can be had here. */
  readonly issuesTokens: boolean
  /** A token for who shows an API key. */
  issueToken(handshake: Handshake, body: string): Promise<IssuedToken>
}

/** Printable ASCII. Where a name comes from an identity provider, it is in log lines all the same. */
export const PRINCIPAL_NAME_PATTERN = /^[\x21-\x7e]{1,128}$/
