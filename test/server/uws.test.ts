import t from 'tap'
import { loadUws, UwsLoadError } from '../../src/server/uws.ts'

const API = {
  App: () => ({}),
  SSLApp: () => ({}),
  us_listen_socket_close: () => {},
  us_socket_local_port: () => 0,
}

t.test('loads a build that runs on this machine', async test => {
  const { uws, packageName, version } = await loadUws()
  test.match(packageName, /^uWebSockets\.js(-glibc227)?$/)
  test.match(version, /^\d+\.\d+\.\d+/)
  test.type(uws.App(), 'object')
  test.equal(uws.LIBUS_LISTEN_EXCLUSIVE_PORT, 1)
})

t.test('takes the second build when the first does not load', async test => {
  const build = await loadUws([
    {
      packageName: 'first',
      needs: 'a newer machine',
      load: async () => {
        throw new Error("/lib/libc.so.6: version `GLIBC_2.38' not found")
      },
    },
    { packageName: 'second', needs: 'this machine', load: async () => API },
  ])
  test.equal(build.packageName, 'second')
  test.equal(build.uws, API)
  test.equal(build.version, 'unknown', 'there is no such package')
})

t.test('does not try the second build when the first loads', async test => {
  const build = await loadUws([
    { packageName: 'tap', needs: 'nothing', load: async () => API },
    { packageName: 'second', needs: 'nothing', load: async () => test.fail('loaded') },
  ])
  test.equal(build.packageName, 'tap')
  test.match(build.version, /^\d+\./, 'the version is that of the package')
})

t.test('names the ABI, the C library and what would help when nothing loads', async test => {
  const error = await loadUws([
    {
      packageName: 'first',
      needs: 'glibc 2.38 or later',
      load: async () => {
        throw new Error('advice\n\nError: version `GLIBC_2.38` not found')
      },
    },
    { packageName: 'second', needs: 'glibc 2.27 or later', load: async () => ({ App: 'not a function' }) },
    { packageName: 'third', needs: 'luck', load: async () => null },
    {
      packageName: 'fourth',
      needs: 'an error',
      load: async () => {
        // oxlint-disable-next-line typescript/only-throw-error -- what a native module throws is not ours to choose
        throw 'a string'
      },
    },
  ]).then(
    () => null,
    (failure: unknown) => failure,
  )
  if (!(error instanceof UwsLoadError)) throw new Error('expected a UwsLoadError')
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  test.match(error.message, `Node.js ${process.versions.node} (ABI ${process.versions.modules})`)
  test.match(error.message, `${process.platform} ${process.arch}`)
  test.match(error.message, header.glibcVersionRuntime ?? 'no glibc')
  test.match(error.message, 'first needs glibc 2.38 or later; second needs glibc 2.27 or later')
  test.match(error.message, 'first: Error: version `GLIBC_2.38` not found;')
  test.match(error.message, 'second: second does not export the API of uWebSockets.js')
  test.match(error.message, 'fourth: a string')
  test.ok(error.cause instanceof AggregateError)
  test.equal((error.cause as AggregateError).errors.length, 4)
})

t.test('says so when the machine has no glibc', async test => {
  const { report } = process
  test.intercept(process, 'report', { value: { getReport: () => ({ header: {} }) }, configurable: true })
  await test.rejects(loadUws([]), { message: /no glibc/ })
  Object.defineProperty(process, 'report', { value: report, configurable: true })
})
