/**
 * What a Redis says while it reads its data from disk, for as long as a test wants; then one that grants whatever it is
 * asked for. It keeps nothing.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Closing } from './world.ts'

const LINE_END = '\r\n'
/** To a question for a lease: granted, one in use, no wait. */
const GRANTED = ':1 :1 :0'.split(' ')

export interface LoadingRedis {
  readonly url: string
  /** Names of commands, in the order in which they came. */
  readonly commands: readonly string[]
  load(): void
}

export async function startLoadingRedis(t: Closing): Promise<LoadingRedis> {
  const sockets = new Set<Socket>()
  const commands: string[] = []
  let isLoading = true
  const answer = (command: string): string => {
    commands.push(command)
    if (command === 'INFO') return bulk(`loading:${isLoading ? 1 : 0}${LINE_END}loading_eta_seconds:3600`)
    if (command === 'HELLO') return `%1${LINE_END}+proto${LINE_END}:3`
    if (command === 'CLIENT' || command === 'SELECT') return '+OK'
    return isLoading
      ? '-LOADING Redis is loading the dataset in memory'
      : [`*${GRANTED.length}`, ...GRANTED].join(LINE_END)
  }
  const server = createServer(socket => {
    sockets.add(socket)
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (part: string) => {
      text += part
      for (let taken = takeCommand(text); taken !== null; taken = takeCommand(text)) {
        text = text.slice(taken.length)
        socket.write(answer(taken.name) + LINE_END)
      }
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}/0`,
    commands,
    load: () => (isLoading = false),
  }
}

function bulk(text: string): string {
  return `$${text.length}${LINE_END}${text}`
}

/** The first command of a text: `*<parts>`, then each part as `$<length>` and its text. `null` where it is not whole. */
function takeCommand(text: string): { readonly name: string; readonly length: number } | null {
  const head = /^\*(\d+)\r\n/.exec(text)
  if (head === null) return null
  let length = head[0].length
  let name = ''
  for (let part = 0; part < Number(head[1]); part += 1) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(length))
    if (size === null) return null
    const begin = length + size[0].length
    length = begin + Number(size[1]) + LINE_END.length
    if (text.length < length) return null
    if (part === 0) name = text.slice(begin, length - LINE_END.length).toUpperCase()
  }
  return { name, length }
}
