import { format, inspect } from 'node:util'
import t from 'tap'
import { PresignedUrl } from '../../src/upstream/presigned-url.ts'

const SECRET = 'X-Amz-Security-Token=IQoJ&X-Amz-Signature=33b6af'

t.test('no way of printing a presigned URL shows its query', async t => {
  const url = new PresignedUrl(`wss://host:8443/path?${SECRET}`)
  const printed = {
    string: String(url),
    joined: [url].join(),
    json: JSON.stringify({ url }),
    inspected: inspect(url, { showHidden: true, depth: 9 }),
    nested: inspect({ deep: { url } }, { depth: 9 }),
    formatted: format('%s %o %O %j', url, url, url, url),
    keys: JSON.stringify(Object.entries(url)),
    error: String(new Error(`failed: ${url.toString()}`)),
    clone: JSON.stringify(structuredClone(url)),
  }
  for (const [way, text] of Object.entries(printed)) {
    t.notMatch(text, /IQoJ|33b6af|X-Amz/, way)
  }
  t.equal(String(url), 'wss://host:8443/path?…redacted')
  t.equal(JSON.stringify(url), '"wss://host:8443/path?…redacted"')
  t.equal(inspect(url), 'PresignedUrl(wss://host:8443/path?…redacted)')
  t.equal(url.reveal(), `wss://host:8443/path?${SECRET}`)
  t.equal(String(new PresignedUrl('wss://host/path')), 'wss://host/path', 'nothing to hide')
})
