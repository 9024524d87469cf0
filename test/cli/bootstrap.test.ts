/** The way from a fresh clone to a running command, in a small tree of its own with an npm and a compiler that only take notes. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'

const BOOTSTRAP = fileURLToPath(new URL('../../scripts/bootstrap.mjs', import.meta.url))
const LOCK = {
  packages: {
    '': {},
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/other-platform': { version: '1.0.0', integrity: 'sha512-b', optional: true },
  },
}
const INSTALLED = { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } } }

const COMPILER = `
const fs = require('node:fs')
fs.appendFileSync('notes.txt', 'tsc ' + process.argv.slice(2).join(' ') + '\\n')
if (fs.readFileSync('src/main.ts', 'utf8').includes('mistake')) process.exit(2)
fs.mkdirSync('dist/cli', { recursive: true })
fs.writeFileSync('dist/cli/main.js', 'console.log("ran", process.argv.slice(2).join(" ")); process.exitCode = 7')
`

function makeTree(t: Test, engines = '>=20.15') {
  const root = t.testdir({
    'package.json': JSON.stringify({ type: 'module', engines: { node: engines } }),
    'package-lock.json': JSON.stringify(LOCK),
    'tsconfig.json': '{}',
    'tsconfig.build.json': '{}',
    src: { 'main.ts': 'fine', web: { 'page.html': '<p>' } },
    scripts: { 'check.mjs': 'console.log("checked", process.argv.slice(2).join(" "))' },
    programs: {},
    // What npm would unpack, in its place from the start; what npm notes of it is not.
    compiler: COMPILER,
  })
  copyFileSync(BOOTSTRAP, join(root, 'scripts', 'bootstrap.mjs'))
  const npm = join(root, 'programs', 'npm')
  writeFileSync(
    npm,
    [
      '#!/bin/sh',
      'echo "npm $*" >> notes.txt',
      'test "$1" = ci && test -e ci-fails && exit 9',
      'test -e npm-fails && exit 9',
      'test -e installs && mkdir -p node_modules && cp installs node_modules/.package-lock.json',
      'mkdir -p node_modules/typescript/bin',
      `cp compiler node_modules/typescript/bin/tsc`,
      'echo \'{"type":"commonjs"}\' > node_modules/typescript/package.json',
    ].join('\n'),
  )
  chmodSync(npm, 0o755)
  const path = (name: string): string => join(root, name)
  return {
    write(name: string, text: string): void {
      mkdirSync(dirname(path(name)), { recursive: true })
      writeFileSync(path(name), text)
    },
    read: (name: string): string => readFileSync(path(name), 'utf8'),
    has: (name: string): boolean => existsSync(path(name)),
    remove: (name: string): void => rmSync(path(name), { recursive: true }),
    /** Runs it and gives what npm and the compiler noted. */
    run(...args: string[]) {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [path('scripts/bootstrap.mjs'), ...args],
        {
          encoding: 'utf8',
          env: { PATH: `${path('programs')}:/usr/bin:/bin` },
        },
      )
      const notes = existsSync(path('notes.txt')) ? readFileSync(path('notes.txt'), 'utf8') : ''
      rmSync(path('notes.txt'), { force: true })
      return { status, stdout, stderr, notes }
    },
  }
}

const NPM = 'npm ci --include=dev --no-audit --no-fund\n'
const NPM_INSTALL = 'npm install --no-save --include=dev --no-audit --no-fund\n'
const TSC = 'tsc -p tsconfig.build.json\n'

t.test('a fresh clone is installed, built and run; then it is only run', async t => {
  const tree = makeTree(t)
  const first = tree.run('demo', '--speed', '2')
  t.match(first, { status: 7, stdout: 'ran demo --speed 2\n', notes: NPM + TSC })
  t.equal(tree.read('dist/web/page.html'), '<p>', 'what is no source is copied')
  t.strictSame(tree.run('demo'), { status: 7, stdout: 'ran demo\n', stderr: '', notes: '' })
  t.match(tree.run('build'), { status: 0, stdout: '', notes: '' })
  t.match(tree.run(), { status: 0, stdout: '', notes: '' })
})

t.test('only what is out of date is done again', async t => {
  const tree = makeTree(t)
  tree.run('build')
  tree.write('src/main.ts', 'changed')
  t.match(tree.run('build'), { status: 0, notes: TSC })
  tree.write('dist/old.js', '')
  tree.write('src/new.ts', '')
  t.match(tree.run('build'), { status: 0, notes: TSC })
  t.notOk(tree.has('dist/old.js'), 'what has no source any more is gone')
  tree.remove('dist/cli')
  t.match(tree.run('build'), { notes: TSC })
  tree.write('package-lock.json', JSON.stringify({ ...LOCK, changed: true }))
  t.match(tree.run('build'), { status: 0, notes: NPM + TSC })
})

t.test('packages that were installed by hand are kept when they are the right ones', async t => {
  const tree = makeTree(t)
  tree.write('node_modules/typescript/package.json', '{}')
  tree.write('node_modules/typescript/bin/tsc', COMPILER)
  tree.write('node_modules/.package-lock.json', JSON.stringify(INSTALLED))
  t.match(tree.run('build'), { status: 0, notes: TSC })
  for (const wrong of [{}, { 'node_modules/a': { version: '1.0.1', integrity: 'sha512-a' } }]) {
    tree.write('node_modules/.package-lock.json', JSON.stringify({ packages: wrong }))
    tree.remove('node_modules/.transcribe-relay-lock')
    t.match(tree.run('build'), { notes: NPM })
  }
})

t.test(
  'a registry without packages of other platforms is enough, one with other versions is not',
  async t => {
    const tree = makeTree(t)
    tree.write('ci-fails', '')
    tree.write(
      'installs',
      JSON.stringify({ packages: { 'node_modules/a': { version: '2.0.0', integrity: 'x' } } }),
    )
    const wrong = tree.run('build')
    t.match(wrong, {
      status: 1,
      stderr: /did not give the versions of package-lock/,
      notes: NPM + NPM_INSTALL,
    })
    t.notOk(tree.has('node_modules/.transcribe-relay-lock'))
    tree.write('installs', JSON.stringify(INSTALLED))
    t.match(tree.run('build'), { status: 0, notes: NPM + NPM_INSTALL + TSC })
    t.match(tree.run('build'), { status: 0, notes: '' })
  },
)

t.test('test runs the check, without a build', async t => {
  const tree = makeTree(t)
  t.match(tree.run('test', 'a.test.ts'), { status: 0, stdout: 'checked a.test.ts\n', notes: NPM })
})

t.test('what fails is told in one line and done again the next time', async t => {
  const tree = makeTree(t)
  tree.write('npm-fails', '')
  t.match(tree.run('build'), {
    status: 1,
    stderr: /npm install failed \(exit code 9\)\n$/,
    notes: NPM + NPM_INSTALL,
  })
  tree.remove('npm-fails')
  tree.write('src/main.ts', 'a mistake')
  t.match(tree.run('build'), { status: 1, stderr: /the build failed \(exit code 2\)\n$/, notes: NPM + TSC })
  t.match(tree.run('build'), { status: 1, notes: TSC })
})

t.test('an old Node.js is refused in one line', async t => {
  for (const engines of ['>=99.0', '>=20.99']) {
    const [major] = process.versions.node.split('.')
    if (engines.startsWith('>=20') && major !== '20') continue
    const { status, stdout, stderr, notes } = makeTree(t, engines).run('demo')
    t.strictSame({ status, stdout, notes }, { status: 1, stdout: '', notes: '' })
    t.equal(
      stderr,
      `transcribe-relay: Node.js ${engines.slice(2)} or newer is needed; this is ${process.versions.node}.\n`,
    )
  }
})
