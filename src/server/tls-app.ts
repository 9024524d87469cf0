/**
 * A native app that speaks TLS.
 */
import { AuthFileError } from './auth/watched-file.ts'
import type { TlsOptions } from './tls-files.ts'
import type { Uws, UwsApp } from './uws.ts'

/**
 * The native library refuses what is older than TLS 1.2, and has no option for more. TLS 1.3 has ciphers of its own; where
 * the list for TLS 1.2 holds nothing but one that needs a shared key, which nobody has, no handshake of that version
 * succeeds.
 */
const NO_TLS_12_CIPHERS = 'PSK-AES128-CBC-SHA'

/** Forward secrecy and authenticated encryption only (RFC 9325 §4.2). */
const TLS_12_CIPHERS =
  'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:' +
  'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305'

/** @throws AuthFileError when the library takes the files not. The caller has checked them, so it cannot say why. */
export function createTlsApp(uws: Uws, { certFile, keyFile, minVersion }: TlsOptions): UwsApp {
  try {
    return uws.SSLApp({
      cert_file_name: certFile,
      key_file_name: keyFile,
      ssl_ciphers: minVersion === 'TLSv1.3' ? NO_TLS_12_CIPHERS : TLS_12_CIPHERS,
      ssl_prefer_low_memory_usage: true,
    })
  } catch {
    throw new AuthFileError('tlsCertFile', 'and tlsKeyFile must be files that the TLS library takes')
  }
}
