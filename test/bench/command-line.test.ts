/** The flags of benches: one table is what is taken, the rule, and the page. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { readFlags, type FlagTable } from '../../bench/command-line.ts'

const TABLE = {
  sessions: { kind: 'number', value: 'N', default: 5, min: 1, max: 10, doc: '' },
  url: { kind: 'text', value: 'URL', doc: '' },
  from: { kind: 'text', value: 'DIR', default: 'dist', doc: '' },
  smoke: { kind: 'switch', doc: '' },
} as const satisfies FlagTable

t.test('what is not given has its default, and what is given its type', async t => {
  t.strictSame(readFlags(TABLE, []), { sessions: 5, url: undefined, from: 'dist', smoke: false })
  t.strictSame(readFlags(TABLE, ['--sessions', '7', '--url=x', '--from', 'src', '--smoke']), {
    sessions: 7,
    url: 'x',
    from: 'src',
    smoke: true,
  })
})

t.test('a wrong flag or value is refused with its name, its value and the rule', async t => {
  for (const [words, message] of [
    [['--sessions', '0'], /^--sessions must be from 1 to 10, got 0$/],
    [['--sessions', '11'], /^--sessions must be from 1 to 10, got 11$/],
    [['--sessions', 'many'], /^--sessions must be from 1 to 10, got many$/],
    [['--sessions='], /^--sessions must be from 1 to 10, got $/],
    [['--session', '1'], /Unknown option '--session'/],
    [['--smoke=yes'], /--smoke/],
    [['word'], /'word'/],
  ] as const) {
    t.throws(() => readFlags(TABLE, words), { name: 'FlagError', message })
  }
})

t.test('every bench of the overview has its page of help', async t => {
  const scripts = (JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> })
    .scripts
  const names = [...readFileSync('bench/README.md', 'utf8').matchAll(/^\| `npm run (bench:[\w-]+)`/gm)]
  t.strictSame(
    names.map(([, name = '']) => name).sort(),
    Object.keys(scripts)
      .filter(name => name.startsWith('bench:'))
      .sort(),
  )
  for (const name of ['bench:framing', 'bench:load', 'bench:compare']) {
    const words = scripts[name]?.split(' ').slice(1) ?? []
    const { status, stdout } = spawnSync(process.execPath, [...words, '--help'], { encoding: 'utf8' })
    t.equal(status, 0, name)
    t.match(stdout, `Usage: npm run ${name} [-- FLAGS]`)
  }
})
