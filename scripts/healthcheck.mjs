/**
 * For the HEALTHCHECK of the image, which holds neither curl nor a shell: exit code 0 when the relay's `/livez` answers.
 *
 * Liveness, not readiness: a relay that waits for credentials or drains must not be restarted. Kubernetes does not use
 * this, it probes the operations port itself.
 */
const TIMEOUT_MS = 4000
const DEFAULT_PORT = 9090
const WILDCARD_HOSTS = ['', '0.0.0.0', '::']

const { RELAY_OPS_HOST: host = '', RELAY_OPS_PORT: port = DEFAULT_PORT } = process.env
const address = WILDCARD_HOSTS.includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host

try {
  const { ok } = await fetch(`http://${address}:${port}/livez`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  process.exitCode = ok ? 0 : 1
} catch {
  process.exitCode = 1
}
