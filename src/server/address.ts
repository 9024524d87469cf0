/**
 * Addresses in words that a program on the same machine can use.
 */

/** Part of a URL: what was bound may be "every address", which is none to connect to. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
