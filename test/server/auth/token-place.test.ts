import t from 'tap'
import { RelayError } from '../../../src/errors.ts'
import { readToken, withoutToken } from '../../../src/server/auth/token-place.ts'

function read(headers: Record<string, string>, query = '', tokenInQuery = false): string | null {
  const handshake = {
    sessionId: '',
    method: 'get',
    path: '/v1/stream',
    query,
    headers: new Map(Object.entries(headers)),
    remoteAddress: '',
  }
  try {
    return readToken(handshake, tokenInQuery)
  } catch (error) {
    if (error instanceof RelayError) return `! ${error.code}`
    throw error
  }
}

t.test('a token is read from each of its places, and nothing else is taken for one', async t => {
  const authorizations: [string, string | null][] = [
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['BEARER   a.b_c-d~e+f/g==', 'a.b_c-d~e+f/g=='],
    ['Basic YTpi', null],
    ['Bearerabc', null],
    ['', null],
    ['Bearer', '! token_invalid'],
    ['Bearer ', '! token_invalid'],
    ['Bearer a b', '! token_invalid'],
    ['Bearer a, Bearer b', '! token_invalid'],
    ['Bearer ä', '! token_invalid'],
    [`Bearer ${'x'.repeat(4001)}`, '! token_invalid'],
  ]
  for (const [authorization, expected] of authorizations)
    t.equal(read({ authorization }), expected, authorization)
  const subprotocols: [string, string | null][] = [
    ['transcribe-relay.v1, bearer, abc', 'abc'],
    ['bearer,abc,transcribe-relay.v1', 'abc'],
    ['transcribe-relay.v1', null],
    ['Bearer, abc', null],
    ['bearer', '! token_invalid'],
    ['bearer, ', '! token_invalid'],
    ['bearer, abc, bearer, abc', '! invalid_request'],
    ['bearer, bearer, abc', '! invalid_request'],
  ]
  for (const [offer, expected] of subprotocols)
    t.equal(read({ 'sec-websocket-protocol': offer }), expected, offer)
})

t.test('the query is a place only where it is switched on', async t => {
  t.equal(read({}, 'token=abc'), null)
  t.equal(read({}, 'words=true&token=a%2Bb', true), 'a+b')
  t.equal(read({}, 'token=', true), '! token_invalid')
  t.equal(read({}, 'token=a&token=a', true), '! invalid_request')
})

t.test('two places are one too many, also with the same token', async t => {
  const header = { authorization: 'Bearer a' }
  t.equal(read({ ...header, 'sec-websocket-protocol': 'bearer, a' }), '! invalid_request')
  t.equal(read(header, 'token=a', true), '! invalid_request')
  t.equal(read(header, 'token=a', false), 'a')
})

t.test('the token is taken out of the query, and nothing else', async t => {
  t.equal(withoutToken('words=true&token=a&partials=false'), 'words=true&partials=false')
  t.equal(withoutToken('token=a'), '')
  t.equal(withoutToken('%74oken=a&words=true'), 'words=true', 'whose name is escaped')
  t.equal(withoutToken('vocabulary-name=a%20token'), 'vocabulary-name=a+token')
  t.equal(withoutToken('words=true'), 'words=true')
})
