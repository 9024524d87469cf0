/**
 * Certificate and key of the client port: two files that are read again when they change, and checked as a pair before
 * anything native sees them, because the native library says of every failure only that there was one.
 *
 * A pair that is not valid, or not served, is reported and leaves the one before in force. Where the two files change one
 * after the other, the first change is such a failure and the second one is taken.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { AuthFileError, WatchedFile } from './auth/watched-file.ts'

export interface TlsOptions {
  /** PEM: the certificate of the server, then those between it and the root. */
  readonly certFile: string
  /** PEM, not encrypted. */
  readonly keyFile: string
  readonly minVersion: TlsVersion
}

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const

export type TlsVersion = (typeof TLS_VERSIONS)[number]

/** What an operator is told. Nothing here is a secret. */
export interface TlsLog {
  /** New connections get this certificate from now on. Also called at the start. */
  certificateOnUse(certificate: CertificateFacts): void
  /** The certificate in force stays. */
  certificateOnFailure(file: string, error: unknown): void
}

export interface CertificateFacts {
  readonly subject: string
  /** ms since 1970 */
  readonly expiresAtMs: number
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  readonly fingerprint: string
}

export interface TlsFilesDependencies {
  readonly clock: Clock
  readonly log: TlsLog
  /** Serves with what is in the files now. Throws where that fails. Not called for the pair found at the start. */
  readonly onPair: () => void
}

const MAX_CERTIFICATE_BYTES = 256 * 1024
const MAX_KEY_BYTES = 64 * 1024

export class TlsFiles {
  readonly #deps: TlsFilesDependencies
  readonly #cert: WatchedFile
  readonly #key: WatchedFile
  #certText = ''
  #keyText = ''
  #isStarted = false

  constructor({ certFile, keyFile }: TlsOptions, deps: TlsFilesDependencies) {
    this.#deps = deps
    const watch = (path: string, maxBytes: number, onContent: (text: string) => void): WatchedFile =>
      new WatchedFile({
        path,
        maxBytes,
        clock: deps.clock,
        onContent: (text, name) => {
          onContent(text)
          if (this.#isStarted) this.#take(name)
        },
        // The certificate in use is reported, whichever file changed.
        onReload: () => {},
        onFailure: (name, error) => deps.log.certificateOnFailure(name, error),
      })
    this.#cert = watch(certFile, MAX_CERTIFICATE_BYTES, text => (this.#certText = text))
    this.#key = watch(keyFile, MAX_KEY_BYTES, text => (this.#keyText = text))
  }

  /** Reads both files and checks the pair. @throws AuthFileError */
  async start(): Promise<void> {
    await this.#cert.start()
    await this.#key.start()
    this.#isStarted = true
    this.#deps.log.certificateOnUse(this.#check('tlsCertFile'))
  }

  close(): void {
    this.#cert.close()
    this.#key.close()
  }

  #take(name: string): void {
    const facts = this.#check(name)
    this.#deps.onPair()
    this.#deps.log.certificateOnUse(facts)
  }

  #check(name: string): CertificateFacts {
    return checkPair(this.#certText, this.#keyText, name, this.#deps.clock.now())
  }
}

/** @throws AuthFileError that names the file and quotes nothing. */
function checkPair(certText: string, keyText: string, name: string, nowMs: number): CertificateFacts {
  const certificate = parse(
    () => new X509Certificate(certText),
    `${name}: certificate`,
    'a certificate in PEM',
  )
  const key: KeyObject = parse(() => createPrivateKey(keyText), `${name}: key`, 'a private key in PEM')
  if (!certificate.checkPrivateKey(key)) {
    throw new AuthFileError(name, 'must be a certificate and a key that belong together')
  }
  const expiresAtMs = Date.parse(certificate.validTo)
  if (expiresAtMs <= nowMs) throw new AuthFileError(`${name}: certificate`, 'must not have expired')
  const { fingerprint256: fingerprint, subject } = certificate
  return { subject: subject.replaceAll('\n', ', ').slice(0, 256), expiresAtMs, fingerprint }
}

/** What the parsers of the platform say of a key may be anything. */
function parse<Value>(read: () => Value, path: string, shape: string): Value {
  try {
    return read()
  } catch {
    throw new AuthFileError(path, `must be ${shape}`)
  }
}
