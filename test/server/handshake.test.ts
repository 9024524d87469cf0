import t from 'tap'
import type { Handshake } from '../../src/server/handshake.ts'
import { checkHandshake, isFromBrowser, selectSubprotocol } from '../../src/server/handshake.ts'
import { formatAddress } from '../../src/server/proxies.ts'

const PROPER = {
  host: 'relay.test',
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
}

function handshake(headers: Record<string, string | null>): Handshake {
  const given = Object.entries({ ...PROPER, ...headers })
  return {
    sessionId: '00000000-0000-4000-8000-000000000000',
    method: 'get',
    path: '/v1/stream',
    query: '',
    headers: new Map(given.flatMap(([name, value]) => (value === null ? [] : [[name, value]]))),
    remoteAddress: '127.0.0.1',
  }
}

t.test('accepts the opening handshakes of the RFC and of browsers', test => {
  const proper = [
    {},
    { upgrade: 'WebSocket' },
    { upgrade: 'h2c, websocket' },
    { connection: 'keep-alive, Upgrade' },
    { connection: 'upgrade' },
  ]
  for (const headers of proper) test.equal(checkHandshake(handshake(headers)), null, JSON.stringify(headers))
  test.end()
})

t.test('refuses everything else, naming the header, its value and the rule', test => {
  const refused: [Record<string, string | null>, string, RegExp][] = [
    [{ 'sec-websocket-version': null, 'sec-websocket-key': null }, 'upgrade_required', /speaks WebSocket/],
    [{ 'sec-websocket-version': '8' }, 'upgrade_required', /^Sec-WebSocket-Version must be 13, got "8"\.$/],
    [{ 'sec-websocket-version': '13, 8' }, 'upgrade_required', /got "13, 8"/],
    [
      { 'sec-websocket-version': null },
      'upgrade_required',
      /^Sec-WebSocket-Version must be 13, and is missing\.$/,
    ],
    [{ upgrade: null }, 'invalid_request', /^Upgrade must contain websocket, and is missing\.$/],
    [{ upgrade: 'websockets' }, 'invalid_request', /^Upgrade must contain websocket, got "websockets"\.$/],
    [{ connection: null }, 'invalid_request', /^Connection must contain Upgrade, and is missing\.$/],
    [{ connection: 'close' }, 'invalid_request', /^Connection must contain Upgrade, got "close"\.$/],
    [
      { 'sec-websocket-key': null },
      'invalid_request',
      /^Sec-WebSocket-Key must be 16 bytes in base64, and is missing/,
    ],
    [{ 'sec-websocket-key': 'dGhl' }, 'invalid_request', /got "dGhl"/],
    [{ 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZT09' }, 'invalid_request', /16 bytes/],
    [{ upgrade: `\u0007${'x'.repeat(100)}` }, 'invalid_request', /got "\?x{63}"\.$/],
  ]
  for (const [headers, code, message] of refused) {
    test.match(checkHandshake(handshake(headers)), { code, message }, JSON.stringify(headers))
  }
  test.end()
})

t.test('answers with its own subprotocol or with none', test => {
  const offers: [string | null, string][] = [
    [null, ''],
    ['', ''],
    ['chat', ''],
    ['transcribe-relay.v1', 'transcribe-relay.v1'],
    ['chat, transcribe-relay.v1 ,superchat', 'transcribe-relay.v1'],
    ['transcribe-relay.v2', ''],
    ['Transcribe-Relay.v1', ''],
  ]
  for (const [offer, answer] of offers) {
    test.equal(selectSubprotocol(handshake({ 'sec-websocket-protocol': offer })), answer, String(offer))
  }
  test.end()
})

t.test('knows a browser by its Origin, whatever it says', test => {
  test.notOk(isFromBrowser(handshake({})))
  test.ok(isFromBrowser(handshake({ origin: 'https://example.org' })))
  test.ok(isFromBrowser(handshake({ origin: 'null' })))
  test.end()
})

t.test('writes addresses as people do', test => {
  const addresses: [string, string][] = [
    ['7f000001', '127.0.0.1'],
    ['00000000000000000000ffff0a000102', '10.0.1.2'],
    ['20010db8000000000000000000000001', '2001:db8:0:0:0:0:0:1'],
    ['', ''],
  ]
  for (const [hex, text] of addresses) test.equal(formatAddress(Buffer.from(hex, 'hex')), text, hex)
  test.end()
})
