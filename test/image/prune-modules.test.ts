/** What the image leaves out of packages, and that nothing is left out that is asked for. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { pruneModules } from '../../scripts/prune-modules.mjs'

type Files = Readonly<Record<string, string>>

/** Prunes packages made of these files, and gives what is left. */
function prune(t: Test, files: Files): readonly string[] {
  const folder = t.testdir()
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  pruneModules(folder)
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}

/** A package with these fields in its manifest, whose other files are empty. */
function packageOf(name: string, manifest: object, files: Files | readonly string[]): Files {
  const entries = Array.isArray(files)
    ? files.map(path => [path, ''] as const)
    : Object.entries(files as Files)
  return {
    [`${name}/package.json`]: JSON.stringify({ name, ...manifest }),
    ...Object.fromEntries(entries.map(([path, text]) => [`${name}/${path}`, text])),
  }
}

t.test('documents, tests, types and sources go; licences and what runs stay', async t => {
  const kept = ['index.js', 'lib/a.cjs', 'lib/data.json', 'LICENSE', 'LICENSE.md', 'NOTICE.md', 'lib/a.node']
  const gone = [
    'README.md',
    'index.d.ts',
    'src/a.ts',
    'index.js.map',
    'test/a.js',
    'docs/a.json',
    '.eslintrc',
    'lib/tests/b.js',
  ]
  const left = prune(t, packageOf('a', {}, [...kept, ...gone]))
  t.strictSame(left, [...kept, 'package.json'].map(path => `a/${path}`).toSorted())
})

t.test('a build for bundlers goes, unless Node.js is led there too', async t => {
  const files = ['cjs/a.js', 'esm/a.js', 'esm/deep/b.js', 'web/a.js']
  const leftOf = (manifest: object): readonly string[] =>
    prune(t, packageOf('p', manifest, files)).filter(path => !path.endsWith('package.json'))
  const fields = { main: './cjs/a.js', module: 'esm/a.js', browser: './web/a.js' }
  t.strictSame(leftOf(fields), ['p/cjs/a.js'])
  t.strictSame(leftOf({ ...fields, bin: { tool: './web/a.js' } }), ['p/cjs/a.js', 'p/web/a.js'])
  const importing = {
    ...fields,
    exports: { '.': { browser: './web/a.js', import: './esm/a.js', default: './cjs/a.js' } },
  }
  t.strictSame(leftOf(importing), ['p/cjs/a.js', 'p/esm/a.js', 'p/esm/deep/b.js'])
  t.strictSame(leftOf({ ...fields, exports: ['./cjs/a.js', './esm/*'] }).length, 3)
  t.strictSame(leftOf({ module: './a.js' }).length, 4, 'one that lies at the root is the package')
  t.strictSame(
    leftOf({ main: 'x', module: 'esm/deep/b.js' }),
    ['p/cjs/a.js', 'p/web/a.js'],
    'the whole build',
  )
})

t.test('packages within packages, and those of a scope', async t => {
  const files = {
    ...packageOf('@scope/a', { main: 'lib/a.js', module: 'esm/a.js' }, ['lib/a.js', 'esm/a.js']),
    ...packageOf('@scope/a/node_modules/b', {}, ['index.js', 'README.md']),
    ...packageOf('c', { main: 'tests/index.js' }, ['tests/index.js', 'tests/more.js']),
  }
  t.strictSame(
    prune(t, files).filter(path => !path.endsWith('package.json')),
    ['@scope/a/lib/a.js', '@scope/a/node_modules/b/index.js', 'c/tests/index.js', 'c/tests/more.js'],
  )
})

t.test('a file that asks for one that was taken out stops the build', async t => {
  for (const text of [
    "require('../esm/a')",
    'import "../esm/a.js"',
    "await import('p/esm/a.js')",
    "export { x } from '../esm'",
  ]) {
    const manifest = { main: 'cjs/a.js', module: 'esm/index.js' }
    const files = { 'cjs/a.js': text, 'esm/a.js': '', 'esm/index.js': '' }
    t.throws(
      () => prune(t, packageOf('p', manifest, files)),
      /p\/cjs\/a\.js asks for .*esm.*, which was taken out/,
      text,
    )
  }
  t.doesNotThrow(() => prune(t, packageOf('p', {}, { 'index.js': "require('./missing'); require('fs')" })))
})
