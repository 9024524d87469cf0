/**
 * The image as a container would run it, without a container engine: `scripts/image-chroot.sh`, with the commands that stand in
 * the Dockerfile.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Closing } from './world.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const SCRIPT = join(CHECKOUT, 'scripts', 'image-chroot.sh')
const TOOLS = ['unshare', 'chroot', 'nsenter', 'setpriv', 'prlimit'] as const

/** Where `scripts/ci-tools.sh` puts the Debian root. */
const TRIXIE =
  process.env['TRANSCRIBE_RELAY_TRIXIE'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'transcribe-relay', 'trixie')

/** What the image test wants and does not find; `null`: it can run. */
export function missingForImage(): string | null {
  if (process.platform !== 'linux') return 'Linux'
  if (process.getuid?.() !== 0) return 'root rights'
  const tool = TOOLS.find(name => spawnSync(name, ['--version']).error !== undefined)
  if (tool !== undefined) return `the program ${tool}`
  return existsSync(join(TRIXIE, 'usr/bin/node')) ? null : 'a Debian 13 root (scripts/ci-tools.sh)'
}

export interface Dockerfile {
  /** Of every stage, in order: instruction and its arguments, continued lines joined. */
  readonly stages: readonly (readonly Instruction[])[]
}

export interface Instruction {
  readonly name: string
  readonly text: string
}

export function readDockerfile(): Dockerfile {
  const lines = readFileSync(join(CHECKOUT, 'Dockerfile'), 'utf8')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
  const stages: Instruction[][] = [[]]
  for (const line of lines) {
    const [, name = '', text = ''] = /^([A-Z]+) +(.*)$/.exec(line) ?? []
    if (name === 'FROM') stages.push([])
    stages.at(-1)?.push({ name, text: text.replace(/ +/g, ' ') })
  }
  return { stages }
}

/** The arguments of every instruction of a name in a stage. */
export function instructionsOf(stage: readonly Instruction[] | undefined, name: string): readonly string[] {
  return (stage ?? []).filter(instruction => instruction.name === name).map(({ text }) => text)
}

/** Builds the root of the image; its folder, removed with the test. */
export function buildImageRoot(t: Closing, commands: readonly string[]): { folder: string; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'relay-image-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const { status, stdout, stderr } = spawnSync(SCRIPT, ['build', TRIXIE, CHECKOUT, folder, ...commands], {
    encoding: 'utf8',
    env: cleanEnvironment(),
  })
  if (status !== 0) throw new Error(`the build failed with ${status}: ${stdout}${stderr}`)
  return { folder, output: stdout }
}

/** What Debian packages take once they are installed, bytes, by their own word. */
export function sizeOfPackages(names: readonly string[]): number {
  const query = ['dpkg-query', '--showformat=${Package} ${Installed-Size}\\n', '--show', ...names]
  const { status, stdout, stderr } = spawnSync('chroot', [TRIXIE, ...query], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`dpkg-query failed with ${status}: ${stderr}`)
  const sizesKib = stdout
    .trim()
    .split('\n')
    .map(line => Number(line.split(' ')[1]))
  return sizesKib.reduce((sum, size) => sum + size * 1024, 0)
}

export interface ImageProcess {
  /** Process id of the relay outside of its namespace; once a line was waited for. */
  readPid(): number
  readonly child: ChildProcessWithoutNullStreams
  readonly exitCode: Promise<number | null>
  /** Lines of standard output, parsed; resolves with the first that has this message. */
  waitForLine(message: string): Promise<Readonly<Record<string, unknown>>>
  /** Runs a command beside it and returns its exit code. */
  exec(command: readonly string[], environment?: Readonly<Record<string, string>>): number | null
}

/** Runs a command as PID 1 of the image's root. */
export function runImage(
  t: Closing,
  folder: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
): ImageProcess {
  const child = spawn(SCRIPT, ['run', folder, ...command], { env: { ...cleanEnvironment(), ...environment } })
  t.teardown(() => child.kill('SIGKILL'))
  const exitCode = once(child, 'close').then(([code]) => code as number | null)
  let output = ''
  let errors = ''
  const wakers = new Set<() => void>()
  const wake = (): void => wakers.forEach(waker => waker())
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const waitForLine = (message: string): Promise<Readonly<Record<string, unknown>>> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const line = output.split('\n').find(text => text.endsWith(`"message":"${message}"}`))
        if (line === undefined) return
        wakers.delete(look)
        resolve(JSON.parse(line) as Record<string, unknown>)
      }
      wakers.add(look)
      look()
      void exitCode.then(code =>
        reject(new Error(`ended with ${code} before "${message}": ${output}${errors}`)),
      )
    })
  // The child of `unshare --fork` that is the first of its namespace, there once it has said something.
  const readPid = (): number => {
    const pids = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
    const first = pids.find(pid => /^NSpid:\t\d+\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
    if (first === undefined) throw new Error(`no process of ${pids.join()} is the first of a namespace`)
    return Number(first)
  }
  return {
    child,
    exitCode,
    waitForLine,
    readPid,
    exec(arguments_, variables = {}) {
      const env = { ...cleanEnvironment(), ...environment, ...variables }
      return spawnSync(SCRIPT, ['exec', String(readPid()), ...arguments_], { env }).status
    },
  }
}

/** Nothing of this machine but the way to its programs. */
function cleanEnvironment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '' }
}
