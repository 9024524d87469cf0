import t from 'tap'
import { EndpointError, resolveEndpoint } from '../../src/transcribe/endpoints.ts'
import type { EndpointRequest } from '../../src/transcribe/endpoints.ts'
import { REGIONS_WITHOUT_STREAMING, STREAMING_REGIONS } from '../../src/transcribe/regions.ts'

const PATH = '/stream-transcription-websocket'

const SUFFIXES: [region: string, dnsSuffix: string, dualStackSuffix: string][] = [
  ['us-east-1', 'amazonaws.com', 'api.aws'],
  ['mx-central-1', 'amazonaws.com', 'api.aws'],
  ['il-central-1', 'amazonaws.com', 'api.aws'],
  ['cn-northwest-1', 'amazonaws.com.cn', 'api.amazonwebservices.com.cn'],
  ['us-gov-west-1', 'amazonaws.com', 'api.aws'],
  ['eusc-de-east-1', 'amazonaws.eu', 'api.amazonwebservices.eu'],
  ['us-iso-east-1', 'c2s.ic.gov', 'api.aws.ic.gov'],
  ['us-isob-east-1', 'sc2s.sgov.gov', 'api.aws.scloud'],
  ['eu-isoe-west-1', 'cloud.adc-e.uk', 'api.cloud-aws.adc-e.uk'],
  ['us-isof-south-1', 'csp.hci.ic.gov', 'api.aws.hci.ic.gov'],
  ['zz-north-1', 'amazonaws.com', 'api.aws'],
]

for (const [region, dnsSuffix, dualStackSuffix] of SUFFIXES) {
  t.test(`${region} has the host names of its partition`, async t => {
    for (const fips of [false, true]) {
      for (const dualStack of [false, true]) {
        const hostname = `transcribestreaming${fips ? '-fips' : ''}.${region}.${dualStack ? dualStackSuffix : dnsSuffix}`
        t.match(resolveEndpoint({ region, fips, dualStack }), {
          region,
          hostname,
          host: `${hostname}:8443`,
          port: 8443,
          secure: true,
          path: PATH,
          url: `wss://${hostname}:8443${PATH}`,
        })
      }
    }
  })
}

t.test('a region with streaming resolves without a warning', async t => {
  t.equal(STREAMING_REGIONS.size, 25)
  for (const region of STREAMING_REGIONS) t.strictSame(resolveEndpoint({ region }).warnings, [], region)
  t.strictSame(resolveEndpoint({ region: 'us-gov-east-1', fips: true, dualStack: true }).warnings, [])
})

t.test('what is not known to exist is dialled with a warning', async t => {
  const rows: [EndpointRequest, RegExp][] = [
    [{ region: 'eu-south-2' }, /eu-south-2 is not known to have Amazon Transcribe streaming/],
    [{ region: 'zz-north-1' }, /zz-north-1 belongs to no known partition/],
    [{ region: 'eu-west-1', fips: true }, /eu-west-1 is not known to have a FIPS host name/],
    [{ region: 'eu-central-2', dualStack: true }, /eu-central-2 is known to have no dual-stack host name/],
  ]
  for (const [request, warning] of rows) {
    const { warnings } = resolveEndpoint(request)
    t.equal(warnings.length, 1)
    t.match(warnings[0], warning)
  }
})

t.test('an override is dialled instead, and the region stays for the signature', async t => {
  const rows: Record<string, [url: string, host: string, port: number, secure: boolean, warned: boolean]> = {
    'ws://localhost:9000': ['ws://localhost:9000', 'localhost:9000', 9000, false, false],
    'http://127.0.0.1:9000/': ['ws://127.0.0.1:9000', '127.0.0.1:9000', 9000, false, false],
    'ws://[::1]:9000': ['ws://[::1]:9000', '[::1]:9000', 9000, false, false],
    'ws://emulator': ['ws://emulator', 'emulator', 80, false, true],
    'ws://emulator:80': ['ws://emulator', 'emulator', 80, false, true],
    'ws://emulator:443': ['ws://emulator:443', 'emulator:443', 443, false, true],
    'wss://VPCE-1.example.com': [
      'wss://vpce-1.example.com:8443',
      'vpce-1.example.com:8443',
      8443,
      true,
      false,
    ],
    'https://vpce-1.example.com': [
      'wss://vpce-1.example.com:8443',
      'vpce-1.example.com:8443',
      8443,
      true,
      false,
    ],
    'wss://vpce-1.example.com:443': ['wss://vpce-1.example.com', 'vpce-1.example.com', 443, true, false],
  }
  for (const [endpointOverride, [url, host, port, secure, warned]] of Object.entries(rows)) {
    const endpoint = resolveEndpoint({ region: 'us-west-1', endpointOverride })
    t.match(
      endpoint,
      { region: 'us-west-1', url: url + PATH, host, port, secure, path: PATH },
      endpointOverride,
    )
    t.equal(endpoint.warnings.length, warned ? 1 : 0, 'warned about plain text on a network')
    t.equal(new URL(endpoint.url).host, host, 'the signed host is the one an HTTP client sends')
  }
})

t.test('what cannot be dialled is refused with field, value and rule', async t => {
  const region = 'us-east-1'
  const rows: [EndpointRequest, string][] = [
    [{ region: undefined }, 'region must be given, such as us-east-1.'],
    [{ region: null }, 'region must be given, such as us-east-1.'],
    [{ region: '' }, 'region must be given, such as us-east-1.'],
    [{ region: 'us-east-1.evil.example/' }, 'got "us-east-1.evil.example/".'],
    [{ region: 'US-EAST-1' }, 'region must be the name of an AWS region such as us-east-1, got "US-EAST-1".'],
    [{ region: 'x\n', endpointOverride: 'ws://h' }, 'got "x\\u{a}".'],
    [{ region, endpointOverride: 'ws://h:1', fips: true }, 'cannot be combined with FIPS or dual-stack'],
    [{ region, endpointOverride: 'ws://h:1', dualStack: true }, 'cannot be combined with FIPS or dual-stack'],
    [{ region, endpointOverride: '' }, 'must be ws://host'],
    [{ region, endpointOverride: 'localhost:9000' }, 'must be ws://host'],
    [{ region, endpointOverride: 'ftp://localhost' }, 'must be ws://host'],
    [{ region, endpointOverride: 'ws://host/path' }, 'must be ws://host'],
    [{ region, endpointOverride: 'ws://host?x=1' }, 'must be ws://host'],
    [{ region, endpointOverride: 'ws://999.1.1.1' }, 'must be ws://host'],
    [{ region, endpointOverride: 'ws://host:0' }, 'must have a port from 1 to 65535, got "ws://host:0".'],
    [{ region, endpointOverride: 'ws://host:70000' }, 'must be ws://host'],
    [
      { region, endpointOverride: 'wss://user:hunter2@host' },
      'no user, path or query, got "wss://***@host".',
    ],
  ]
  for (const [request, message] of rows) {
    try {
      resolveEndpoint(request)
      t.fail(`accepted ${JSON.stringify(request)}`)
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
      t.ok(error.message.includes(message), error.message)
      t.equal(
        error.field,
        request.endpointOverride !== undefined && request.region === region ? 'endpointOverride' : 'region',
      )
      t.ok(error.message.includes(error.rule))
      t.ok(error.value === null || error.message.includes(error.value))
    }
  }
  for (const batchOnly of REGIONS_WITHOUT_STREAMING) {
    t.throws(() => resolveEndpoint({ region: batchOnly }), {
      message: `region must be a region where Amazon Transcribe streams (this one has batch transcription at most), got "${batchOnly}".`,
    })
  }
})
