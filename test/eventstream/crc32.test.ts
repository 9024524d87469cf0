import * as fc from 'fast-check'
import t from 'tap'
import { crc32, crc32OfWord } from '../../src/eventstream/crc32.ts'

t.test('is the CRC-32 of gzip, not CRC-32C', t => {
  t.equal(crc32(Buffer.from('123456789')), 0xcbf43926)
  t.equal(crc32(new Uint8Array(0)), 0)
  t.end()
})

t.test('goes on after earlier bytes, wherever they are cut', t => {
  const bytes = Buffer.from('123456789')
  for (let cut = 0; cut <= bytes.length; cut++) {
    t.equal(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut))), 0xcbf43926)
  }
  t.end()
})

t.test('a word counts as its four bytes, big-endian, wherever it stands', t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.uint8Array({ maxLength: 40 }),
      (word, before) => {
        const bytes = Buffer.alloc(4)
        bytes.writeUInt32BE(word)
        return crc32OfWord(word, crc32(before)) === crc32(bytes, crc32(before))
      },
    ),
    { verbose: true },
  )
  t.equal(crc32OfWord(0x31323334), crc32(Buffer.from('1234')), 'with nothing before it')
  t.end()
})
