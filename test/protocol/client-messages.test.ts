/** What clients may say in text, and what becomes of everything else. */
import t from 'tap'
import { MAX_TEXT_BYTES, readClientMessage } from '../../src/protocol/client-messages.ts'
import { createRandom } from '../support/random.ts'

t.test('the end of the audio has many names', async t => {
  for (const text of [
    '{"type":"CloseStream"}',
    '{"type":"closestream","more":[1,{"a":null}]}',
    ' { "type" : "CloseStream" } ',
    '{"type":"Terminate"}',
    '{"type":"END_OF_STREAM"}',
    'END_OF_STREAM',
    '\nEND_OF_STREAM\r\n',
    '{"eof":1}',
    '{"eof" : 1}',
    '{"eof":true}',
  ]) {
    t.strictSame(readClientMessage(text), { ok: true, message: { type: 'CloseStream' } }, text)
  }
})

t.test('KeepAlive, Pause, Resume and Configure', async t => {
  for (const type of ['Pause', 'Resume'] as const) {
    t.strictSame(readClientMessage(`{"type":"${type.toLowerCase()}"}`), { ok: true, message: { type } })
  }
  for (const text of ['{"type":"KeepAlive"}', '{"type":"KEEPALIVE"}', '{"type":"x","type":"KeepAlive"}']) {
    t.strictSame(readClientMessage(text), { ok: true, message: { type: 'KeepAlive' } }, text)
  }
  t.strictSame(
    readClientMessage(
      '{"type":"Configure","sample-rate":8000,"words":true,"language-code":"de-DE","sample-rate":16000,"__proto__":"x","constructor":"y"}',
    ),
    {
      ok: true,
      message: {
        type: 'Configure',
        given: new Map([
          ['sample-rate', '16000'],
          ['words', 'true'],
          ['language-code', 'de-DE'],
          ['__proto__', 'x'],
          ['constructor', 'y'],
        ]),
      },
    },
    'a name that occurs twice counts once, as JSON has it; names of JavaScript are names',
  )
})

t.test('Authenticate carries a token, as it stands', async t => {
  t.strictSame(readClientMessage('{"type":"authenticate","token":"eyJ.a.b","more":1}'), {
    ok: true,
    message: { type: 'Authenticate', token: 'eyJ.a.b' },
  })
})

t.test('audio in text is told where audio belongs', async t => {
  for (const text of [
    '{"event":"media","media":{"payload":"AAAA"}}',
    '{"type":"input_audio_buffer.append","audio":"AAAA"}',
    '{"audio":"AAAA"}',
  ]) {
    t.match(readClientMessage(text), { ok: false, code: 'unsupported_data', rule: /binary messages/ }, text)
  }
})

t.test('everything else is refused with a rule', async t => {
  const deep = '['.repeat(8000) + ']'.repeat(8000)
  const cases: [text: string, rule: RegExp][] = [
    ['', /JSON object/],
    ['hello', /JSON object/],
    ['"END_OF_STREAM"', /JSON object/],
    ['null', /JSON object/],
    ['42', /JSON object/],
    ['[{"type":"KeepAlive"}]', /JSON object/],
    ['{"type":1}', /"type"/],
    [`{"type":"${'x'.repeat(65)}"}`, /at most 64 characters/],
    ['{"type":"KeepAlive"', /JSON object/],
    ['{"eof":0}', /"type"/],
    ['{"eof":1,"more":1}', /"type"/],
    ['{"type":"Finalize"}', /cannot end a segment/],
    ['{"type":"Begin"}', /one of CloseStream, KeepAlive, Pause, Resume, Authenticate, Configure/],
    ['{"type":"constructor"}', /one of/],
    ['{"__proto__":{"type":"KeepAlive"}}', /"type"/],
    [deep, /JSON object/],
    [`{"a":${deep.slice(0, 4000)}`, /JSON object/],
    ...['', ',"token":""', ',"token":1', ',"token":null', ',"token":["canary"]'].map(
      (token): [string, RegExp] => [
        `{"type":"Authenticate"${token}}`,
        /^"token" of Authenticate must be a string that is not empty\.$/,
      ],
    ),
    ['{"type":"Configure","sample-rate":1e999}', /not so: sample-rate\.$/],
    ['{"type":"Configure","a":null,"b":[1],"c":{"d":1},"e":"fine"}', /not so: a, b, c\.$/],
    ['{"type":"Configure","__proto__":{"x":1}}', /not so: __proto__\.$/],
  ]
  for (const [text, rule] of cases) {
    t.match(readClientMessage(text), { ok: false, code: 'bad_control_message', rule }, text.slice(0, 60))
  }
})

t.test('names of the client come back short, few and printable', async t => {
  const names = [
    'a\u0000b\u001b[31m',
    'x'.repeat(500),
    'grüß',
    ...Array.from({ length: 1000 }, (_, n) => `n${n}`),
  ]
  const text = JSON.stringify({ type: 'Configure', ...Object.fromEntries(names.map(name => [name, null])) })
  const result = readClientMessage(text)
  t.match(result, { ok: false })
  if (result.ok) return
  t.match(result.rule, /^[\x20-\x7e…]+$/)
  t.ok(result.rule.length < 700, `${result.rule.length} characters`)
})

t.test('never throws, whatever it reads', async t => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    'type',
    'Configure',
    'eof',
    '1',
    'null',
    '\\u0000',
    '\ud800',
    '1e9',
    ' ',
  ]
  let refused = 0
  for (let round = 0; round < 5000; round += 1) {
    const length = Math.floor(random() * 30)
    const text = Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]).join('')
    if (!readClientMessage(text).ok) refused += 1
  }
  t.ok(refused > 4900)
  t.equal(MAX_TEXT_BYTES, 16_384)
})
