/** One opening handshake over a raw socket, and what came of it: for tests of who may come in. */
import type { HandshakeOptions, HttpAnswer } from './raw-socket.ts'
import { RawSocket } from './raw-socket.ts'

export interface Knock {
  readonly answer: HttpAnswer
  readonly raw: RawSocket
  /** `code` of the JSON body; `null` after 101. */
  readonly code: string | null
}

/** Closed with the test. */
export async function knock(
  t: { teardown(action: () => unknown): void },
  port: number,
  options: HandshakeOptions = {},
): Promise<Knock> {
  const raw = await RawSocket.connect(port)
  t.teardown(() => raw.destroy())
  const answer = await raw.handshake(options)
  const body = answer.body === '' ? {} : (JSON.parse(answer.body) as { code?: string })
  return { answer, raw, code: body.code ?? null }
}

/** The headers of a handshake with a token. */
export function bearer(token: string): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { authorization: `Bearer ${token}` } }
}
