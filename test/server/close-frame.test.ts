import { assert, property, string } from 'fast-check'
import t from 'tap'
import { ERROR_CODES, ERRORS } from '../../src/errors.ts'
import { readClientEnd } from '../../src/server/client-end.ts'
import { cutCloseReason, isSendableCloseCode, MAX_CLOSE_REASON_BYTES } from '../../src/server/close-frame.ts'

t.test('every close code there is: those of a server may be sent, the reserved never', test => {
  const sendable = new Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014])
  for (let code = 4000; code <= 4999; code++) sendable.add(code)
  const wrong = []
  for (let code = -1; code <= 65_536; code++) {
    if (isSendableCloseCode(code) !== sendable.has(code)) wrong.push(code)
  }
  test.same(wrong, [])
  for (const code of [Number.NaN, 1000.5, Infinity]) test.notOk(isSendableCloseCode(code), String(code))
  test.end()
})

t.test('every close code of the catalogue may be sent, with its code as the reason', test => {
  for (const code of ERROR_CODES) {
    const { closeCode } = ERRORS[code]
    if (closeCode !== null) test.ok(isSendableCloseCode(closeCode), `${code} ${closeCode}`)
    test.equal(cutCloseReason(code), code)
  }
  test.end()
})

t.test('a reason is cut to 123 bytes between characters', test => {
  assert(
    property(string({ unit: 'grapheme', maxLength: 200 }), reason => {
      const cut = cutCloseReason(reason)
      const whole = Buffer.from(reason)
      const bytes = Buffer.from(cut)
      if (bytes.length > MAX_CLOSE_REASON_BYTES) return false
      if (!whole.subarray(0, bytes.length).equals(bytes)) return false
      // Nothing more would have fitted: the next character is at most 4 bytes long.
      return whole.length <= MAX_CLOSE_REASON_BYTES
        ? cut === reason
        : bytes.length > MAX_CLOSE_REASON_BYTES - 4
    }),
    { numRuns: 2000 },
  )
  test.equal(cutCloseReason('é'.repeat(62)), 'é'.repeat(61))
  test.equal(cutCloseReason('x'.repeat(124)), 'x'.repeat(123))
  test.end()
})

t.test('native reasons become codes of the catalogue, and a client cannot forge them', test => {
  const table: [number, string, string][] = [
    [1006, 'Received too big message', 'too_big_native'],
    [1006, 'Received too big message, or other inflation error', 'too_big_native'],
    [1006, 'Received invalid UTF-8', 'invalid_utf8'],
    [1006, 'Received invalid close payload', 'invalid_close'],
    [1006, 'Received invalid WebSocket frame', 'invalid_frame'],
    [1006, 'Received TCP FIN before WebSocket close frame', 'tcp_fin'],
    [1006, 'WebSocket timed out from inactivity', 'ping_timeout'],
    [1006, '', 'tcp_reset'],
    [1006, 'A sentence of a later version', 'tcp_reset'],
    [1000, '', 'client_closed'],
    [1005, '', 'client_closed'],
    [4000, 'Received invalid UTF-8', 'client_closed'],
  ]
  for (const [closeCode, reason, code] of table) {
    const bytes = new Uint8Array(Buffer.from(reason))
    test.same(readClientEnd(closeCode, bytes.buffer), { code, closeCode }, `${closeCode} "${reason}"`)
  }
  test.end()
})
