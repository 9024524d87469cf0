import { EventEmitter } from 'node:events'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import { TlsSessions } from '../../src/upstream/tls-sessions.ts'

function name(host: number): string {
  return `host-${host}`
}

t.test('keeps the newest session of each of 64 hosts, the stalest host goes first', async t => {
  const sessions = new TlsSessions()
  const socket = new EventEmitter() as TLSSocket
  for (let host = 0; host < 64; host += 1) {
    const of = new EventEmitter() as TLSSocket
    sessions.watch(name(host), of)
    of.emit('session', Buffer.from(`first ${host}`))
    if (host === 0) sessions.watch(name(0), socket)
  }
  socket.emit('session', Buffer.from('second 0'))
  const newcomer = new EventEmitter() as TLSSocket
  sessions.watch('newcomer', newcomer)
  newcomer.emit('session', Buffer.from('new'))
  t.equal(sessions.get(name(0))?.toString(), 'second 0')
  t.equal(sessions.get(name(1)), undefined)
  t.equal(sessions.get(name(2))?.toString(), 'first 2')
  t.equal(sessions.get('newcomer')?.toString(), 'new')
  sessions.forget('newcomer')
  t.equal(sessions.get('newcomer'), undefined)
})
