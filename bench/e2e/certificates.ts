/** A certificate for 127.0.0.1 and localhost that is its own authority, made by `openssl` in a folder of the system. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface BenchCertificate {
  readonly keyFile: string
  readonly certFile: string
  remove(): void
}

export function makeCertificate(): BenchCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'transcribe-relay-bench-'))
  const keyFile = join(folder, 'key.pem')
  const certFile = join(folder, 'cert.pem')
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  execFileSync(
    'openssl',
    ['req', '-x509', ...key, '-keyout', keyFile, '-out', certFile, '-days', '2', ...name],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  return { keyFile, certFile, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
