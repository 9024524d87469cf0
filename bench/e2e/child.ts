/**
 * Processes of the bench and how they talk: a parent asks, a child answers, by number. All children are ended with the
 * parent.
 */
import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

interface Question {
  readonly id: number
  readonly name: string
}

interface Answer {
  readonly id: number
  readonly value: unknown
  readonly error?: string
}

/** Long enough for a child that is busy with a thousand sessions. */
const ANSWER_TIMEOUT_MS = 60_000

export class Child {
  readonly process: ChildProcess
  #lastId = 0

  constructor(process: ChildProcess) {
    this.process = process
  }

  get pid(): number {
    return this.process.pid ?? 0
  }

  /** Asks for `name` and resolves with the answer. Rejects when the child ends or takes a minute. */
  ask<Value>(name: string, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Value> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer)
        this.process.off('message', onMessage)
        this.process.off('exit', onExit)
      }
      const onMessage = (answer: Answer): void => {
        if (answer.id !== id) return
        finish()
        if (answer.error === undefined) resolve(answer.value as Value)
        else reject(new Error(answer.error))
      }
      const onExit = (): void => {
        finish()
        reject(new Error(`a process of the bench ended when it was asked for ${name}`))
      }
      const timer = setTimeout(() => {
        finish()
        reject(new Error(`a process of the bench did not answer ${name}`))
      }, timeoutMs)
      this.process.on('message', onMessage)
      this.process.once('exit', onExit)
      this.process.send({ id, name } satisfies Question)
    })
  }

  kill(): Promise<void> {
    return new Promise(resolve => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) resolve()
      else {
        this.process.once('exit', () => resolve())
        this.process.kill('SIGKILL')
      }
    })
  }
}

export interface ChildOptions {
  /** Given to the child as JSON in its first argument. */
  readonly config: unknown
  /** Pinned to this core where `taskset` exists; `null`: anywhere. */
  readonly core: number | null
  readonly env?: Readonly<Record<string, string>>
}

/** Starts the TypeScript file `name` of this folder. */
export function startChild(name: string, options: ChildOptions): Child {
  const path = fileURLToPath(new URL(name, import.meta.url))
  const child = fork(path, [JSON.stringify(options.config)], {
    execArgv: ['--import', 'tsx'],
    // AWS's SDK warns about the version of Node.js in every process.
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...options.env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  if (options.core !== null && child.pid !== undefined) pin(child.pid, options.core)
  return new Child(child)
}

/** Whether processes can be pinned to cores here. */
export function canPin(): boolean {
  return spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0
}

function pin(pid: number, core: number): void {
  spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)], { stdio: 'ignore' })
}

/** In the child: its configuration, as the parent gave it. */
export function readConfig(): unknown {
  return JSON.parse(process.argv[2] ?? 'null')
}

/** In the child: answers questions by name until the parent is gone. */
export function answer(handlers: Readonly<Record<string, () => unknown>>): void {
  process.on('message', (question: Question) => {
    const handler = handlers[question.name]
    Promise.resolve()
      .then(() => {
        if (handler === undefined) throw new Error(`unknown question ${question.name}`)
        return handler()
      })
      .then(
        value => process.send?.({ id: question.id, value } satisfies Answer),
        (error: unknown) =>
          process.send?.({ id: question.id, value: null, error: String(error) } satisfies Answer),
      )
  })
  process.once('disconnect', () => process.exit(0))
}
