import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { Test } from 'tap'
import t from 'tap'
import type { OpsServerOptions } from '../../src/server/ops.ts'
import { createOpsServer } from '../../src/server/ops.ts'

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

async function startOps(test: Test, options: Partial<OpsServerOptions> = {}) {
  const failures: unknown[] = []
  const ops = createOpsServer({
    host: '127.0.0.1',
    port: 0,
    readiness: () => ({ ready: true, reasons: [] }),
    scrape: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    onFailure: error => failures.push(error),
    ...options,
  })
  const { port } = await ops.listen()
  test.teardown(() => ops.close())
  return { ops, port, failures }
}

async function ask(port: number, path: string, method = 'GET'): Promise<Answer> {
  const asked = request({ host: '127.0.0.1', port, path, method, agent: false })
  asked.end()
  const [response] = await once(asked, 'response')
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode, headers: response.headers, body }
}

t.test('answers liveness, readiness and metrics, and nothing else', async test => {
  const { port } = await startOps(test)
  const live = await ask(port, '/livez')
  test.same([live.status, JSON.parse(live.body)], [200, { status: 'alive' }])
  const ready = await ask(port, '/readyz?verbose')
  test.same([ready.status, JSON.parse(ready.body)], [200, { ready: true, reasons: [] }])
  const metrics = await ask(port, '/metrics')
  test.same([metrics.status, metrics.body], [200, 'up 1\n'])
  test.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4')
  for (const path of ['/', '/v1/stream', '/metrics/', '/livez/../metrics', '/%6detrics']) {
    test.equal((await ask(port, path)).status, 404, path)
  }
})

t.test('tells how regions are, and takes orders about them from no web page', async test => {
  const orders: string[] = []
  const region = { region: 'us-east-1', breaker: 'closed', draining: false, streams: 2, scope: 'relay' }
  const regions = {
    report: () => [
      { ...region, streamLimit: 0 },
      { ...region, streamLimit: 5 },
    ],
    order: async (name: string, isDraining: boolean) => {
      orders.push(`${isDraining ? 'drain' : 'resume'} ${name}`)
      return name === 'us-east-1' ? 'shared' : null
    },
  }
  const { port } = await startOps(test, { regions })
  const told = await ask(port, '/regions')
  test.same(JSON.parse(told.body), {
    regions: [
      { ...region, stream_limit: null },
      { ...region, stream_limit: 5 },
    ],
  })
  const drained = await ask(port, '/regions/us-east-1/drain', 'POST')
  test.same(
    [drained.status, JSON.parse(drained.body)],
    [202, { region: 'us-east-1', draining: true, scope: 'shared' }],
  )
  test.match(JSON.parse((await ask(port, '/regions/us-east-1/resume', 'POST')).body), { draining: false })
  test.equal((await ask(port, '/regions/eu-west-1/drain', 'POST')).status, 404)
  test.same((await ask(port, '/regions/us-east-1/drain')).headers.allow, 'POST')
  const page = await fetch(`http://127.0.0.1:${port}/regions/us-east-1/drain`, {
    method: 'POST',
    headers: { origin: 'http://localhost:3000', connection: 'close' },
  })
  test.equal(page.status, 403)
  test.strictSame(orders, ['drain us-east-1', 'resume us-east-1', 'drain eu-west-1'])
  const { port: without } = await startOps(test)
  test.equal((await ask(without, '/regions')).status, 404)
  test.equal((await ask(without, '/regions/us-east-1/drain', 'POST')).status, 405)
})

t.test('says why it is not ready, and is alive all the same', async test => {
  const { port } = await startOps(test, {
    readiness: () => ({ ready: false, reasons: ['draining', 'not_ready'] }),
  })
  const ready = await ask(port, '/readyz')
  test.same(
    [ready.status, JSON.parse(ready.body)],
    [503, { ready: false, reasons: ['draining', 'not_ready'] }],
  )
  test.equal((await ask(port, '/livez')).status, 200)
})

t.test('answers HEAD like GET without the body, and refuses other methods', async test => {
  const { port } = await startOps(test)
  const head = await ask(port, '/metrics', 'HEAD')
  test.same([head.status, head.body, head.headers['content-length']], [200, '', '5'])
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await ask(port, '/metrics', method)
    test.same([answer.status, answer.headers.allow], [405, 'GET, HEAD'], method)
  }
})

t.test('answers 500 when a scrape or the readiness fails, and goes on', async test => {
  let isBroken = true
  const { port, failures } = await startOps(test, {
    scrape: async () => {
      if (isBroken) throw new Error('no registry')
      return { contentType: 'text/plain', body: 'up 1\n' }
    },
    readiness: () => {
      throw new TypeError('no readiness')
    },
  })
  const broken = await ask(port, '/metrics')
  test.same([broken.status, JSON.parse(broken.body)], [500, { error: 'internal' }], 'the error stays inside')
  test.equal((await ask(port, '/readyz')).status, 500)
  test.match(failures, [{ message: 'no registry' }, { message: 'no readiness' }])
  isBroken = false
  test.equal((await ask(port, '/metrics')).status, 200)
})

t.test('refuses more headers than it wants to read', async test => {
  const { port } = await startOps(test)
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(9000)}\r\n\r\n`)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  test.match(answer, /^HTTP\/1\.1 431 /)
})

t.test('reports a busy port, and frees its own when it closes', async test => {
  const { ops, port } = await startOps(test)
  const second = createOpsServer({
    host: '127.0.0.1',
    port,
    readiness: () => ({ ready: true, reasons: [] }),
    scrape: async () => ({ contentType: 'text/plain', body: '' }),
    onFailure: error => test.fail(String(error)),
  })
  test.teardown(() => second.close())
  await test.rejects(second.listen(), { code: 'EADDRINUSE' })
  const idle = connect(port, '127.0.0.1')
  await once(idle, 'connect')
  await Promise.all([ops.close(), once(idle.resume(), 'close')])
  test.equal((await second.listen()).port, port)
})

t.test('has the defaults of its documentation', test => {
  const ops = createOpsServer({
    readiness: () => ({ ready: true, reasons: [] }),
    scrape: async () => ({ contentType: 'text/plain', body: '' }),
    onFailure: error => test.fail(String(error)),
  })
  test.resolves(ops.close(), 'closing what never listened is nothing')
  test.end()
})
