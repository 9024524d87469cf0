/**
 * UTF-8 on the wire (RFC 6455 §8.1), Autobahn section 6. See `conformance.test.ts` for the rules: the RFC asks for close
 * code 1007, the native library drops the connection.
 */
import t from 'tap'
import { ConformanceBench, fragments, text } from '../support/conformance.ts'
import { encodeFrame, OPCODE } from '../support/raw-socket.ts'

const bench = await ConformanceBench.start()

// ── 6: UTF-8 ────────────────────────────────────────────────────────────────────────────────────────────────────────

bench.conformance(
  '6.1.1–6.1.3',
  'empty fragments make an empty or a whole text',
  async (test, { raw, session }) => {
    raw.send(
      text(''),
      ...fragments(OPCODE.text, ['', '', '']),
      ...fragments(OPCODE.text, ['', 'middle frame payload', '']),
    )
    await session.whenMessages(3)
    test.same(session.texts, ['', '', 'middle frame payload'])
  },
)

/** Hexadecimal, by case; runs of a case are separated by spaces. */
const VALID_UTF8 = {
  '6.2.1–6.2.4': '48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121',
  '6.5.1': 'cebae1bdb9cf83cebcceb5',
  '6.6.2–6.6.11': 'ceba cebae1bdb9 cebae1bdb9cf83 cebae1bdb9cf83cebc cebae1bdb9cf83cebcceb5',
  '6.7.1–6.7.4': '00 c280 e0a080 f0908080',
  '6.9.1–6.9.4': '7f dfbf efbfbf f48fbfbf',
  '6.11.1–6.11.4': 'ed9fbf ee8080 efbfbd f48fbfbf',
  '6.22.1–6.22.34':
    'efbfbe efbfbf ' +
    Array.from({ length: 16 }, (_, index) => {
      const plane = (index + 1) * 0x10000
      return [plane + 0xfffe, plane + 0xffff].map(point =>
        Buffer.from(String.fromCodePoint(point)).toString('hex'),
      )
    })
      .flat()
      .join(' '),
  '6.23.1–6.23.7': 'efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf',
}

for (const [ids, hexes] of Object.entries(VALID_UTF8)) {
  bench.conformance(
    ids,
    'valid UTF-8 arrives unchanged, whole, in fragments and byte by byte',
    async (test, { raw, session }) => {
      const texts = hexes.split(' ').map(hex => Buffer.from(hex, 'hex'))
      for (const bytes of texts) {
        raw.send(
          text(bytes),
          ...fragments(
            OPCODE.text,
            [...bytes].map(byte => Buffer.from([byte])),
          ),
        )
        await raw.writeChopped(encodeFrame(text(bytes)), 1)
      }
      await session.whenMessages(3 * texts.length)
      test.same(
        session.texts,
        texts.flatMap(bytes => Array.from({ length: 3 }, () => bytes.toString())),
      )
    },
  )
}

const INVALID_UTF8 = {
  '6.3.1': 'cebae1bdb9cf83cebcceb5eda080656469746564',
  '6.4.1–6.4.4': 'cebae1bdb9cf83cebcceb5f4908080656469746564',
  '6.6.1–6.6.10': 'ce cebae1 cebae1bd cebae1bdb9cf cebae1bdb9cf83ce cebae1bdb9cf83cebcce',
  '6.8.1–6.8.2': 'f888808080 fc8480808080',
  '6.10.1–6.10.3': 'f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf',
  '6.11.5': 'f4908080',
  '6.12.1–6.12.8': '80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf ' + hexRange(0x80, 0xbe, ''),
  '6.13.1–6.13.5': [
    hexRange(0xc0, 0xdf, '20'),
    hexRange(0xe0, 0xef, '20'),
    hexRange(0xf0, 0xf7, '20'),
    hexRange(0xf8, 0xfb, '20'),
    'fc20fd20',
  ].join(' '),
  '6.14.1–6.14.10': 'c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf',
  '6.15.1': 'c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf',
  '6.16.1–6.16.3': 'fe ff fefeffff',
  '6.17.1–6.17.5': 'c0af e080af f08080af f8808080af fc80808080af',
  '6.18.1–6.18.5': 'c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf',
  '6.19.1–6.19.5': 'c080 e08080 f0808080 f880808080 fc8080808080',
  '6.20.1–6.20.7': 'eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf',
  '6.21.1–6.21.8':
    'eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf',
}

for (const [ids, hexes] of Object.entries(INVALID_UTF8)) {
  t.test(`${ids}: invalid UTF-8 drops the connection, whole and in fragments`, async test => {
    for (const hex of hexes.split(' ')) {
      const bytes = Buffer.from(hex, 'hex')
      for (const frames of [
        [text(bytes)],
        fragments(OPCODE.text, [bytes.subarray(0, 1), bytes.subarray(1)]),
      ]) {
        const peer = await bench.connectPeer()
        peer.raw.send(...frames)
        await bench.expectDrop(test, peer, 'invalid_utf8')
        test.same(peer.session.messages, [], hex)
      }
    }
    await bench.checkNeighbour(test)
  })
}

function hexRange(from: number, to: number, after: string): string {
  let hex = ''
  for (let byte = from; byte <= to; byte++) hex += byte.toString(16) + after
  return hex
}

bench.finish()
