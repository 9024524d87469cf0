/** Real processes: what a shell, a supervisor and a person see. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { COMMANDS, runProgram } from '../../src/cli/program.ts'
import { startCli, runCli, memoryContext } from '../support/cli.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

async function inMemory(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const context = memoryContext({ environment })
  return { code: await runProgram(args, context), ...context.output }
}

t.test('the overview names every command, the version is that of the package', async t => {
  const { code, stdout } = await runCli(['--help'])
  t.equal(code, 0)
  for (const name of Object.keys(COMMANDS)) t.match(stdout, new RegExp(`^ {2}${name} `, 'm'))
  t.match(await runCli(['--version']), { code: 0, stdout: `${manifest.version}\n`, stderr: '' })
  t.strictSame((await inMemory(['help'])).stdout, stdout)
  t.match(await inMemory(['-V']), { code: 0, stdout: `${manifest.version}\n` })
  t.match(await inMemory([]), { code: 64, stdout: '', stderr: /COMMANDS/ })
})

t.test('each command has a page, wherever the flag stands', async t => {
  for (const name of Object.keys(COMMANDS)) {
    const page = await inMemory([name, '--help'])
    t.match(page, { code: 0, stderr: '' })
    t.ok(page.stdout.startsWith(`transcribe-relay ${name} - `))
    t.strictSame(await inMemory(['help', name]), page)
    t.strictSame(await inMemory([name, '--nonsense', '-h']), page)
  }
  t.match(await runCli(['stream', '--help']), { code: 0, stdout: /--language-code CODE/ })
})

t.test('a wrong command line ends with 64 and a hint', async t => {
  t.match(await runCli(['strem']), {
    code: 64,
    stdout: '',
    stderr: /unknown command strem; did you mean stream\?\nsee transcribe-relay --help/,
  })
  t.match(await inMemory(['--hepl']), { code: 64, stderr: /unknown option --hepl/ })
  t.match(await inMemory(['constructor']), { code: 64, stderr: /unknown command constructor\n/ })
  t.match(await inMemory(['help', 'x']), { code: 64 })
  t.match(await inMemory(['stream']), {
    code: 64,
    stderr: /a word is missing\nsee transcribe-relay stream --help/,
  })
  t.match(await inMemory(['stream', '--', '--help']), { code: 1, stderr: /--help: no such file/ })
  t.match(await inMemory(['sign', '--', '-h']), { code: 64 })
})

t.test('every problem of a configuration is a line, and the process ends with 78', async t => {
  const folder = t.testdir({ 'relay.json': '{"chunkMs": 1, "nonsense": true}' })
  for (const command of ['serve', 'config', 'dev']) {
    const args = [command, '--config', join(folder, 'relay.json'), '--prt', '5', '--host', 'bad host']
    const { code, stdout, stderr } = await runCli(args, { RELAY_PORT: '99999', RELAY_WRONG: 'x' })
    t.equal(code, 78, command)
    t.equal(stdout, '')
    for (const problem of [
      /relay\.json: chunkMs must be .*got 1$/m,
      /relay\.json: nonsense is not an option/,
      /env RELAY_PORT must be .*got "99999"/,
      /env RELAY_WRONG is not a variable/,
      /--prt is not a flag of the relay \(did you mean --port\?\)/,
      /--host must be .*got "bad host"/,
    ]) {
      t.match(stderr, problem, `${command}: ${problem}`)
    }
  }
  t.match(await inMemory(['config', '--config', '/nonexistent.json']), { code: 78, stderr: /ENOENT/ })
})

t.test('config prints value and source of every option', async t => {
  const table = await runCli(['config', '--port', '81', '--no-allow-missing-origin'], {
    RELAY_CHUNK_MS: '60',
  })
  t.equal(table.code, 0)
  t.match(table.stdout, /^port +81 +flag +8080 +RELAY_PORT +integer from 0 to 65535$/m)
  t.match(table.stdout, /^chunkMs +60 +env +100 /m)
  const { stdout } = await inMemory(['config', '--json', '--changed', '--port', '81'], {
    RELAY_CHUNK_MS: '60',
  })
  t.match(JSON.parse(stdout), [
    { key: 'port', value: '81', source: 'flag' },
    { key: 'chunkMs', value: '60', source: 'env' },
  ])
})

t.test('an unexpected error shows where it comes from, an expected one does not', async t => {
  const context = memoryContext()
  const broken = {
    ...context,
    terminal: {
      ...context.terminal,
      print: () => {
        throw new TypeError('a bug')
      },
    },
  }
  t.equal(await runProgram(['--version'], broken), 1)
  t.match(context.output.stderr, /TypeError: a bug\n +at /)
  const odd = {
    ...context,
    terminal: {
      ...context.terminal,
      print: () => {
        // oxlint-disable-next-line no-throw-literal, only-throw-error -- what is thrown is not always an error
        throw 'text'
      },
    },
  }
  t.equal(await runProgram(['--version'], odd), 1)
  t.match(context.output.stderr, /transcribe-relay: text\n/)
})

t.test('a reader that goes away is no failure', async t => {
  const { child, result } = startCli(['config'])
  child.stdout.destroy()
  t.match(await result, { code: 0, stderr: '' })
})
