/**
 * Certificates for TLS tests, made by the `openssl` command in the test's own directory: an authority, and servers that
 * are good, expired, for another name, or their own authority.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface KeyPair {
  readonly key: string
  readonly cert: string
}

export interface Certificates {
  /** To be trusted by the client. */
  readonly ca: string
  /** For localhost and 127.0.0.1. */
  readonly good: KeyPair
  readonly expired: KeyPair
  readonly wrongHost: KeyPair
  readonly selfSigned: KeyPair
}

const CONFIG = `
[ca]
default_ca = authority
[authority]
dir = .
database = index.txt
new_certs_dir = .
serial = serial.txt
private_key = ca.key
certificate = ca.pem
default_md = sha256
policy = policy
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
[localhost]
subjectAltName = DNS:localhost,IP:127.0.0.1
[elsewhere]
subjectAltName = DNS:elsewhere.test
`

export function makeCertificates(directory: string): Certificates {
  function openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const newKey = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-config',
    'openssl.cnf',
  ]

  function selfSign(name: string, extensions: readonly string[]): void {
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      ...extensions,
    )
  }

  function sign(name: string, section: string, from: string, until: string): KeyPair {
    openssl('req', '-new', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const dates = ['-startdate', from, '-enddate', until]
    const files = ['-in', `${name}.csr`, '-out', `${name}.pem`]
    openssl('ca', '-batch', '-notext', '-config', 'openssl.cnf', ...dates, '-extensions', section, ...files)
    return read(name)
  }

  function read(name: string): KeyPair {
    return {
      key: readFileSync(join(directory, `${name}.key`), 'utf8'),
      cert: readFileSync(join(directory, `${name}.pem`), 'utf8'),
    }
  }

  writeFileSync(join(directory, 'openssl.cnf'), CONFIG)
  writeFileSync(join(directory, 'index.txt'), '')
  writeFileSync(join(directory, 'serial.txt'), '01')
  selfSign('ca', ['-subj', '/CN=Test Authority'])
  selfSign('selfsigned', ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'])
  return {
    ca: readFileSync(join(directory, 'ca.pem'), 'utf8'),
    good: sign('good', 'localhost', '20200101000000Z', '20990101000000Z'),
    expired: sign('expired', 'localhost', '20200101000000Z', '20210101000000Z'),
    wrongHost: sign('wronghost', 'elsewhere', '20200101000000Z', '20990101000000Z'),
    selfSigned: read('selfsigned'),
  }
}
