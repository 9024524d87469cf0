import t from 'tap'
import { showAddress, withAddress } from '../../src/log/addresses.ts'

t.test('an address is shown in full, by its network, or not at all', async t => {
  const table: [address: string, prefix: string][] = [
    ['192.0.2.77', '192.0.2.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['0:0:0:0:0:0:0:1', '0:0:0::/48'],
    ['', ''],
  ]
  for (const [address, prefix] of table) {
    t.equal(showAddress(address, 'full'), address)
    t.equal(showAddress(address, 'prefix'), prefix)
    t.equal(showAddress(address, 'none'), null)
  }
  t.strictSame(withAddress({ a: 1, client_address: '192.0.2.77' }, 'none'), { a: 1 })
  t.strictSame(withAddress({ a: 1 }, 'full'), { a: 1 })
})
