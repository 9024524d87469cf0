/** Which native binaries the image gets, and that they are the ones that were looked at. */
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { listNativeFiles, pruneNative } from '../../scripts/prune-native.mjs'

const LISTENER = 'uWebSockets.js/uws_linux_x64_137.node'
const HELPER = 'bufferutil/prebuilds/linux-x64/bufferutil.node'
const OTHERS = [
  'uWebSockets.js/uws_linux_arm64_137.node',
  'uWebSockets.js/uws_linux_x64_115.node',
  'uWebSockets.js/uws_darwin_x64_137.node',
  'bufferutil/prebuilds/darwin-x64/bufferutil.node',
  'uWebSockets.js-glibc227/dist/bin/uws_linux_x64_127.node',
  'some/deep/package/thing.node',
]
const known: Record<string, string> = { [LISTENER]: hashOf(LISTENER), [HELPER]: hashOf(HELPER) }
const target = { arch: 'x64', abi: '137', known }

/** A folder of files that hold their own path. */
function modulesOf(root: string, paths: readonly string[]): string {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), path)
  }
  return root
}

function hashOf(content: string): string {
  return createHash('sha256').update(content).digest('hex')
}

t.test('only the binaries of the platform, the architecture and the ABI stay', async t => {
  const folder = modulesOf(t.testdir(), [LISTENER, HELPER, ...OTHERS])
  t.strictSame(pruneNative(folder, target), [HELPER, LISTENER])
  t.strictSame(listNativeFiles(folder), [HELPER, LISTENER])
})

t.test('without the listener for the target there is no image', async t => {
  const folder = modulesOf(t.testdir(), [HELPER, ...OTHERS])
  t.throws(() => pruneNative(folder, target), /uws_linux_x64_137\.node is missing/)
  t.throws(() => pruneNative(folder, { ...target, arch: 'mips' }), /architecture mips is none of/)
})

t.test('a changed or an unlisted binary is refused', async t => {
  const folder = modulesOf(t.testdir(), [LISTENER, HELPER])
  const { [HELPER]: _, ...short } = known
  t.throws(() => pruneNative(folder, { ...target, known: short }), /bufferutil\.node is not listed/)
  writeFileSync(join(folder, LISTENER), 'something else')
  t.throws(() => pruneNative(folder, target), /is not the file that is listed: SHA-256 [0-9a-f]{64}/)
})

t.test(
  'the committed list is that of the installed packages, for both architectures of the image',
  async t => {
    const list = JSON.parse(readFileSync('scripts/native-files.json', 'utf8')) as Record<string, string>
    for (const [path, hash] of Object.entries(list)) {
      t.equal(
        createHash('sha256')
          .update(readFileSync(join('node_modules', path)))
          .digest('hex'),
        hash,
        path,
      )
    }
    for (const [arch, abi] of [
      ['x64', '137'],
      ['arm64', '137'],
      ['x64', '115'],
    ] as const) {
      const folder = t.testdir()
      for (const name of ['uWebSockets.js', 'bufferutil']) {
        cpSync(join('node_modules', name), join(folder, name), { recursive: true })
      }
      const kept = pruneNative(folder, { arch, abi })
      t.ok(kept.includes(`uWebSockets.js/uws_linux_${arch}_${abi}.node`), `${arch} ${abi}`)
      t.strictSame(listNativeFiles(folder), kept)
    }
  },
)
