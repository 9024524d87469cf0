/** Whose word about an address counts. */
import * as fc from 'fast-check'
import t from 'tap'
import { ClientAddresses, formatAddress, parseAddress } from '../../src/server/proxies.ts'

const ADDRESSES = new ClientAddresses({
  trustedProxies: ['10.0.0.0/8', '192.0.2.7', 'fd00::/8', '::1'],
  proxyProtocol: false,
})
const TUNNEL = new ClientAddresses({ trustedProxies: ['10.0.0.0/8', 'fd00::/8'], proxyProtocol: true })

t.test(
  'X-Forwarded-For counts from a proxy that is named, from the right to the first that is none',
  async t => {
    const table: [peer: string, forwardedFor: string | undefined, address: string][] = [
      ['10.0.0.1', undefined, '10.0.0.1'],
      ['10.0.0.1', '198.51.100.9', '198.51.100.9'],
      ['10.0.0.1', '203.0.113.1, 198.51.100.9', '198.51.100.9'],
      ['10.0.0.1', '203.0.113.1, 198.51.100.9, 10.2.3.4, 192.0.2.7', '198.51.100.9'],
      ['10.0.0.1', '10.9.9.9, 10.2.3.4', '10.9.9.9'],
      ['10.0.0.1', ' 198.51.100.9 ', '198.51.100.9'],
      ['10.0.0.1', '198.51.100.9:50123', '198.51.100.9'],
      ['10.0.0.1', '[2001:db8::1]:443', '2001:db8:0:0:0:0:0:1'],
      ['10.0.0.1', '2001:DB8::1', '2001:db8:0:0:0:0:0:1'],
      ['10.0.0.1', '::ffff:198.51.100.9', '198.51.100.9'],
      ['fd00:0:0:0:0:0:0:5', '198.51.100.9', '198.51.100.9'],
      ['0:0:0:0:0:0:0:1', '198.51.100.9, fd12::1', '198.51.100.9'],
      // Not from anybody else.
      ['198.51.100.1', '203.0.113.1', '198.51.100.1'],
      ['192.0.2.8', '203.0.113.1', '192.0.2.8'],
      ['11.0.0.1', '203.0.113.1', '11.0.0.1'],
      ['', '203.0.113.1', ''],
      // What cannot be read is no address, also behind one that could.
      ...[
        '',
        'unknown',
        '_hidden',
        '198.51.100.9, nonsense',
        '198.51.100.9,',
        '256.1.1.1',
        '198.51.100.9; drop',
        'fe80::1%eth0',
        '[::1',
        '1.2.3.4.5',
        '198.51.100.9:1:2',
        Array.from({ length: 40 }, () => '10.0.0.2').join(),
      ].map((bad): [string, string, string] => ['10.0.0.1', bad, '10.0.0.1']),
      ['10.0.0.1', 'nonsense, 198.51.100.9', '198.51.100.9'],
      // However much a client writes, it is not what hides its address.
      ['10.0.0.1', `${'203.0.113.1, '.repeat(300)}198.51.100.9`, '198.51.100.9'],
      ['10.0.0.1', `${','.repeat(4000)}198.51.100.9, 10.0.0.2`, '198.51.100.9'],
    ]
    for (const [peer, forwardedFor, address] of table) {
      t.equal(
        ADDRESSES.addressOf({ peer, proxied: '203.0.113.99', forwardedFor }),
        address,
        `${peer}: ${forwardedFor?.slice(-64)}`,
      )
    }
    const nobody = new ClientAddresses({ trustedProxies: [], proxyProtocol: false })
    t.equal(nobody.addressOf({ peer: '10.0.0.1', proxied: '1.2.3.4', forwardedFor: '1.2.3.4' }), '10.0.0.1')
  },
)

t.test('the PROXY header counts from a proxy that is named, where it is switched on', async t => {
  const of = (peer: string, proxied: string, forwardedFor?: string) =>
    TUNNEL.addressOf({ peer, proxied, forwardedFor })
  t.equal(of('10.0.0.1', '198.51.100.9'), '198.51.100.9')
  t.equal(of('10.0.0.1', ''), '10.0.0.1', 'a health check of the proxy itself')
  t.equal(of('198.51.100.1', '203.0.113.1'), '198.51.100.1', 'from a stranger')
  t.equal(of('10.0.0.1', '198.51.100.9', '203.0.113.1'), '198.51.100.9', 'a client says something else')
  t.equal(of('10.0.0.1', '10.0.0.2', '203.0.113.1'), '203.0.113.1', 'a proxy behind the balancer')
})

t.test('an address in any spelling is read as the platform reads it', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), text => {
      const parsed = parseAddress(text)
      if (parsed === null) return false
      // A URL writes an address in its shortest form; the same for both if they are the same.
      const short = (address: string) =>
        new URL(`http://${address.includes(':') ? `[${address}]` : address}`).hostname
      const mapped = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(short(text))
      if (mapped === null) return short(parsed) === short(text)
      return (
        parsed ===
        formatAddress(
          Buffer.concat([
            Buffer.alloc(10),
            Buffer.from('ffff', 'hex'),
            ...mapped.slice(1).map(group => Buffer.from((group ?? '').padStart(4, '0'), 'hex')),
          ]),
        )
      )
    }),
    { seed: 20_260_101, numRuns: 2000 },
  )
})

t.test('whatever a header holds, the answer is an address', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), forwardedFor => {
      const address = ADDRESSES.addressOf({ peer: '10.0.0.1', proxied: '', forwardedFor })
      return /^[0-9a-f.:]+$/.test(address)
    }),
    { seed: 20_260_101, numRuns: 2000 },
  )
})

t.test('networks that are none are refused by name', async t => {
  for (const bad of [
    '10.0.0.0/33',
    'fd00::/129',
    'example.com',
    '10.0.0',
    '1.2.3.4/8/8',
    'fe80::1%eth0',
    '10.0.0.0/',
  ])
    t.throws(
      () => new ClientAddresses({ trustedProxies: [bad], proxyProtocol: false }),
      /trustedProxies must be/,
      bad,
    )
})
