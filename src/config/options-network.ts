/**
 * Options of what lies between clients and the relay: TLS, and proxies.
 */
import type { OptionDefinition } from './definition.ts'

const PATH_PATTERN = /^[\x20-\x7e]{1,255}$/
const PATH_SHAPE = 'a path of at most 255 printable characters'

export const NETWORK_OPTIONS = {
  tlsCertFile: {
    theme: 'server',
    kind: 'string',
    default: null,
    pattern: PATH_PATTERN,
    shape: PATH_SHAPE,
    doc: 'Certificate of the client port in PEM, those between it and the root behind it; with it clients connect by `wss://`. Read again when it changes: new connections get the new one, sessions go on. A certificate that is not valid is reported and the old one stays. The operations port has no TLS.',
  },
  tlsKeyFile: {
    theme: 'server',
    kind: 'string',
    default: null,
    pattern: PATH_PATTERN,
    shape: PATH_SHAPE,
    doc: 'Its private key in PEM, without a passphrase.',
  },
  tlsMinVersion: {
    theme: 'server',
    kind: 'enum',
    default: 'TLSv1.2',
    values: ['TLSv1.2', 'TLSv1.3'],
    doc: 'Oldest version of TLS that a client may speak.',
  },
  trustedProxies: {
    theme: 'access',
    kind: 'list',
    default: [],
    pattern: /^[0-9a-fA-F.:]{2,45}(?:\/\d{1,3})?$/,
    maxItems: 64,
    shape: 'an address or a network, like 10.0.0.0/8',
    doc: 'Proxies whose word about the address of a client counts, in `X-Forwarded-For`: from the right, the first address that is none of these. Limits, logs and the audit go by it. Of everybody else the header is not read.',
  },
  proxyProtocol: {
    theme: 'access',
    kind: 'boolean',
    default: false,
    doc: 'Whether `trustedProxies` say it by the PROXY protocol, version 2, as a TCP load balancer does. Every connection then gets one request. Not with TLS here, which would have to come before that header.',
  },
} as const satisfies Record<string, OptionDefinition>
