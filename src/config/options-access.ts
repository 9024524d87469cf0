/**
 * Options of who may come in: how clients show who they are, which pages may connect, how often one may knock.
 */
import type { OptionDefinition } from './definition.ts'

const PATH_PATTERN = /^[\x20-\x7e]{1,255}$/
const PATH_SHAPE = 'a path of at most 255 printable characters'

const ORIGIN_PATTERN =
  /^(?:\*|loopback|https?:\/\/(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,39}\])(?::\d{1,5})?)$/

export const ACCESS_OPTIONS = {
  auth: {
    theme: 'access',
    kind: 'list',
    default: ['none'],
    pattern: /^(?:none|keys)$/,
    maxItems: 2,
    shape: 'one of none, keys',
    doc: 'How clients show who they are; several at once. `none`: they need not, which is allowed on loopback only, unless `insecure` says otherwise. `keys`: API keys. See [authentication.md](authentication.md).',
  },
  insecure: {
    theme: 'access',
    kind: 'boolean',
    default: false,
    doc: 'Lets `auth` be `none` on an address that others can reach. Whoever reaches the port then streams at the cost of the AWS account; each start logs a warning.',
  },
  apiKeysFile: {
    theme: 'access',
    kind: 'string',
    default: null,
    pattern: PATH_PATTERN,
    shape: PATH_SHAPE,
    doc: 'JSON file of API keys: name, SHA-256 and grants of each. Read again when it changes; a content that is not valid is reported and the old one stays.',
  },
  apiKeys: {
    theme: 'access',
    kind: 'list',
    default: [],
    pattern: /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}:[0-9a-fA-F]{64}$/,
    maxItems: 256,
    shape: 'a name and the SHA-256 of a key, like clinic:9f86…',
    secret: true,
    doc: 'API keys without a file: names and SHA-256 digests. They have no limits of their own.',
  },
  tokenInQuery: {
    theme: 'access',
    kind: 'boolean',
    default: false,
    doc: 'Takes `?token=` as well, for clients that can set neither header nor subprotocol. The relay does not log queries; proxies in front of it do.',
  },
  allowedOrigins: {
    theme: 'access',
    kind: 'list',
    default: ['loopback'],
    pattern: ORIGIN_PATTERN,
    maxItems: 256,
    shape: 'an origin as browsers send it, like https://app.example.com, or loopback, or *',
    doc: 'Web pages that may connect, by their origin: scheme, host and port exactly as the browser sends them. `loopback` is every page of `localhost`, `127.0.0.1` and `[::1]`; `*` every page but those of files and sandboxes, whose origin is `null`. Others get `origin_denied`.',
  },
  allowMissingOrigin: {
    theme: 'access',
    kind: 'boolean',
    default: true,
    doc: 'Lets in what sends no `Origin`: every client that is no browser. Without it only browsers of `allowedOrigins` come in.',
  },
  handshakesPerSecond: {
    theme: 'access',
    kind: 'integer',
    unit: 'handshakes per second',
    default: 2000,
    min: 0,
    max: 100_000,
    doc: 'Attempts to connect that the relay looks at, of all clients; twice as many at once. Past it they get `rate_limited`. 0 for no limit.',
  },
  addressHandshakesPerSecond: {
    theme: 'access',
    kind: 'integer',
    unit: 'handshakes per second',
    default: 500,
    min: 0,
    max: 100_000,
    doc: 'The same for one address (an IPv6 address counts by its /64). Behind a proxy that does not keep addresses, all clients have that of the proxy. 0 for no limit.',
  },
  addressSessions: {
    theme: 'access',
    kind: 'integer',
    unit: 'sessions',
    default: 0,
    min: 0,
    max: 100_000,
    doc: 'Sessions of one address at the same time. Past it they get `session_limit`. 0 for no limit.',
  },
} as const satisfies Record<string, OptionDefinition>
