/** Who may use the emulated service. */

export interface SessionToken {
  readonly token: string
  /** Wall clock, milliseconds since 1970, from which the token is refused as expired. Left out: it stays valid. */
  readonly expiresAtMs?: number
}

/** One AWS account, known by one access key. Quotas are counted for each account on its own. */
export interface Account {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Tokens that this key may come with. A key that starts with `ASIA` must come with one of them. */
  readonly sessionTokens?: readonly SessionToken[]
}

/** The key of AWS's own documentation. It is public: it protects nothing but a local emulator. */
export const EXAMPLE_ACCOUNT: Account = Object.freeze({
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
})

/** Temporary credentials can be told by their prefix. */
export function needsSessionToken(accessKeyId: string): boolean {
  return accessKeyId.startsWith('ASIA')
}
