/**
 * A fresh token in the middle of a session: the client's side of `ClientAccess.renew`. One that is not good ends the
 * session with its last results; where it cannot be checked right now the session goes on as it was, with a warning.
 */
import { ERRORS, RelayError } from '../errors.ts'
import { authenticatedMessage } from '../protocol/server-messages.ts'
import type { ClientAccess } from './host.ts'
import type { Outbox } from './outbox.ts'

/** The session. */
export interface RenewalActions {
  /** Ends the audio, then the session. Does nothing once it is closed. */
  finishWith(error: RelayError): void
  /** A bug. */
  clientOnFailure(error: unknown): void
}

export class AccessRenewal {
  readonly #access: ClientAccess | undefined
  readonly #outbox: Outbox
  readonly #actions: RenewalActions
  #isPending = false

  constructor(access: ClientAccess | undefined, outbox: Outbox, actions: RenewalActions) {
    this.#access = access
    this.#outbox = outbox
    this.#actions = actions
  }

  renew(token: string): void {
    if (this.#access === undefined) {
      const message = 'Authenticate is of no use here: this relay asks for no tokens.'
      return this.#actions.finishWith(new RelayError('bad_control_message', { message }))
    }
    if (this.#isPending) {
      const message = 'One token at a time: the answer to the one before is still to come.'
      return this.#actions.finishWith(new RelayError('rate_limited', { message }))
    }
    this.#isPending = true
    this.#access.renew(token).then(
      expiresAtMs => this.#accessOnRenewed(expiresAtMs),
      (error: unknown) => this.#accessOnRefused(error),
    )
  }

  #accessOnRenewed(expiresAtMs: number | null): void {
    this.#isPending = false
    this.#outbox.send(authenticatedMessage(expiresAtMs))
  }

  #accessOnRefused(error: unknown): void {
    this.#isPending = false
    if (!(error instanceof RelayError)) return this.#actions.clientOnFailure(error)
    if (ERRORS[error.code].class === 'server_error') return this.#outbox.warnOf('token_not_checked')
    this.#actions.finishWith(error)
  }
}
