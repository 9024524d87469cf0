/** The documents say what the code does: no error, warning, option or environment name is missing or made up. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { OPTION_KEYS, envName } from '../src/config/options.ts'
import { ERRORS, ERROR_CODES } from '../src/errors.ts'
import { WARNINGS } from '../src/protocol/server-messages.ts'

function readDoc(name: string): string {
  return readFileSync(name, 'utf8')
}

/** Cells of every table row that begins with a code span. */
function tableRows(markdown: string): string[][] {
  return markdown
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    )
}

t.test('docs/errors.md lists every error with its codes and its message, and nothing else', async t => {
  const rows = tableRows(readDoc('docs/errors.md'))
  t.same(new Set(rows.map(([code]) => code)), new Set(ERROR_CODES.map(code => `\`${code}\``)))
  t.equal(rows.length, ERROR_CODES.length)
  for (const [codeSpan = '', close, http, retry, meaning, remedy = ''] of rows) {
    const definition = ERRORS[codeSpan.replaceAll('`', '') as keyof typeof ERRORS]
    const waits = definition.retryAfterMs === undefined ? 'yes' : `yes, after ${definition.retryAfterMs} ms`
    t.equal(close, String(definition.closeCode ?? '–'), `close code of ${codeSpan}`)
    t.equal(http, String(definition.httpStatus ?? '–'), `HTTP status of ${codeSpan}`)
    t.equal(retry, definition.retryable ? waits : 'no', `retry of ${codeSpan}`)
    t.equal(meaning, definition.message, `meaning of ${codeSpan}`)
    t.ok(remedy.length > 5, `${codeSpan} says what to do`)
  }
})

t.test('the close codes keep the one rule for clients', async t => {
  for (const code of ERROR_CODES) {
    const { closeCode, retryable, class: errorClass } = ERRORS[code]
    if (closeCode === null) continue
    t.ok(
      closeCode >= 1000 && closeCode < 5000 && ![1004, 1005, 1006, 1015].includes(closeCode),
      `${code} can be sent`,
    )
    if (closeCode >= 4500 || [1011, 1012, 1013].includes(closeCode)) t.ok(retryable, `${code} may be retried`)
    if (closeCode >= 4500) t.equal(errorClass, 'upstream_error', `${code} is the upstream's`)
  }
})

t.test('docs/protocol.md names every warning', async t => {
  const protocol = readDoc('docs/protocol.md')
  for (const code of Object.keys(WARNINGS)) t.match(protocol, `\`${code}\``, code)
})

t.test('no document names an option or environment variable that does not exist', async t => {
  const known = new Set([...OPTION_KEYS.map(envName), 'RELAY_CONFIG_FILE'])
  const names = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md']
  const documents = [
    ...names,
    ...readdirSync('docs')
      .filter(name => name.endsWith('.md'))
      .map(name => `docs/${name}`),
  ]
  for (const name of documents) {
    for (const [variable] of readDoc(name).matchAll(/\bRELAY_[A-Z_]+[A-Z]\b/g))
      t.ok(known.has(variable), `${name}: ${variable}`)
  }
})

t.test('every link between documents leads somewhere', async t => {
  // What other tests write meanwhile is not looked at.
  const names = readdirSync('.', { withFileTypes: true })
    .filter(({ name }) => !/^(node_modules|\.tap|\.git|dist)$/.test(name))
    .flatMap(entry =>
      entry.isDirectory()
        ? readdirSync(entry.name, { recursive: true, encoding: 'utf8' }).map(name => `${entry.name}/${name}`)
        : [entry.name],
    )
    .filter(name => name.endsWith('.md'))
  t.ok(names.includes('docs/adr/0001-uwebsockets-packaging.md'))
  for (const name of names) {
    const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '.'
    for (const [, target = ''] of readDoc(name).matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)/g)) {
      t.ok(existsSync(`${folder}/${target}`), `${name} links to ${target}`)
    }
  }
})

t.test('docs/operations.md lists every log line with its level, and nothing else', async t => {
  const calls = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .flatMap(name => [
      ...readDoc(`src/${name}`).matchAll(
        /[lL]ogger\??\.(fatal|error|warn|info|debug|trace)\((\s*'([^']+)')?/g,
      ),
    ])
  t.ok(calls.length > 20)
  for (const [call, , literal] of calls) t.ok(literal !== undefined, `${call} says what it says in place`)
  const [, section = ''] = /\n## Logs\n(.*?)\n## /s.exec(readDoc('docs/operations.md')) ?? []
  const rows = tableRows(section).map(
    ([message = '', level = '']) => `${message.replaceAll('`', '')}: ${level}`,
  )
  t.strictSame(new Set(rows), new Set(calls.map(([, level, , message]) => `${message}: ${level}`)))
  t.equal(new Set(rows).size, rows.length, 'each once')
})
