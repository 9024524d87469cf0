import t from 'tap'
import { crc32 } from '../../src/eventstream/crc32.ts'

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
