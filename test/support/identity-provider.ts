/**
 * An identity provider for tests: signs JWTs with keys of every kind, and publishes the public ones over HTTP on the
 * loopback, as it is told to: at once, late, broken, not at all.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CryptoKey, JWK } from 'jose'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

export const ISSUER = 'https://id.example'
export const AUDIENCE = 'transcription'

export interface TestKey {
  readonly kid: string
  readonly alg: string
  readonly signing: CryptoKey | Uint8Array
  readonly jwk: JWK
}

export async function createKey(alg: string, kid: string): Promise<TestKey> {
  if (alg.startsWith('HS')) {
    const secret = Buffer.alloc(64, kid)
    return { kid, alg, signing: secret, jwk: { kty: 'oct', alg, kid, k: secret.toString('base64url') } }
  }
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, signing: privateKey, jwk: { ...(await exportJWK(publicKey)), alg, kid, use: 'sig' } }
}

export interface TokenChanges {
  readonly header?: Readonly<Record<string, unknown>>
  /** `undefined` takes a claim out. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A token that is right in everything but the changes. */
export async function signToken(key: TestKey, { claims, header }: TokenChanges = {}): Promise<string> {
  const nowSeconds = Math.floor(Date.now() / 1000)
  const payload: Record<string, unknown> = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'alice',
    iat: nowSeconds,
    exp: nowSeconds + 300,
    ...claims,
  }
  const kept = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined))
  return new SignJWT(kept)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
    .sign(key.signing, { crit: { x: true } })
}

export class KeyServer {
  readonly url: string
  /** What is published. */
  keys: readonly TestKey[]
  /** Requests so far. */
  requests = 0
  /** Answers a request in place of the keys. */
  answer: ((response: ServerResponse) => void) | null = null
  readonly #server: Server

  private constructor(server: Server, keys: readonly TestKey[]) {
    this.#server = server
    this.keys = keys
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
  }

  static async start(
    t: { teardown(action: () => unknown): void },
    keys: readonly TestKey[],
  ): Promise<KeyServer> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const keyServer = new KeyServer(server, keys)
    server.on('request', (_request, response: ServerResponse) => keyServer.#respond(response))
    t.teardown(() => keyServer.close())
    return keyServer
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #respond(response: ServerResponse): void {
    this.requests += 1
    if (this.answer !== null) return this.answer(response)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) }))
    return undefined
  }
}
