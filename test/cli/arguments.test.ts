import t from 'tap'
import { expectWords, parseArguments, readChoice, readNumber } from '../../src/cli/arguments.ts'
import type { OptionRow } from '../../src/cli/arguments.ts'
import { guessTarget } from '../../src/cli/aws-target.ts'
import { renderHelp, renderRow, wrap } from '../../src/cli/help.ts'
import { PARAMETER_ROWS, readPairs, readParameterFlags } from '../../src/cli/parameter-flags.ts'
import { COMMANDS } from '../../src/cli/program.ts'
import { parseRelayArguments } from '../../src/cli/relay-arguments.ts'
import { OPTION_KEYS, flagName } from '../../src/config/options.ts'
import { EMULATOR_OPTIONS } from '../../src/emulator/index.ts'
import { STANDARD_PARAMETERS } from '../../src/transcribe/parameter-table.ts'

const ROWS: readonly OptionRow[] = [
  { flag: 'speed', value: 'N', doc: '' },
  { flag: 'header', short: 'H', value: 'X', multiple: true, doc: '' },
  { flag: 'raw', short: 'r', doc: '' },
]

t.test('words, values, lists and switches', async t => {
  const parsed = parseArguments(
    ['a', '--speed', '1', '-H', 'x', '--header=y', '-r', '--speed=2', '--', '--raw'],
    ROWS,
  )
  t.strictSame(parsed.words, ['a', '--raw'])
  t.equal(parsed.get('speed'), '2')
  t.strictSame(parsed.getAll('header'), ['x', 'y'])
  t.strictSame(parsed.getAll('speed'), ['2'])
  t.strictSame(parsed.getAll('raw'), [])
  t.equal(parsed.has('raw'), true)
  t.equal(parsed.get('raw'), undefined)
  t.strictSame(parsed.values, { speed: '2', header: 'y' })
})

t.test('a wrong command line is a usage error that names the option', async t => {
  const table: readonly [args: string[], message: RegExp][] = [
    [['--sped', '1'], /unknown option --sped; did you mean --speed\?/],
    [['--zzzzzzzz'], /^unknown option --zzzzzzzz$/],
    [['-x'], /unknown option -x/],
    [['--speed'], /'--speed <value>' argument missing/],
    [['--raw=1'], /'-r, --raw' does not take an argument/],
    [Array.from({ length: 65 }, () => 'w'), /more than 64 words/],
  ]
  for (const [args, message] of table)
    t.throws(() => parseArguments(args, ROWS), { name: 'UsageError', message })
  const words = parseArguments(['a', 'b'], ROWS)
  t.throws(() => expectWords(words, 3, 3, 'x FILE'), { message: 'x FILE: a word is missing' })
  t.throws(() => expectWords(words, 0, 1, 'x FILE'), { message: 'x FILE: "b" is one word too many' })
  expectWords(words, 1, 2, 'x')
})

t.test('numbers and choices have bounds', async t => {
  const rule = { flag: 'speed', default: 1, min: 0.5, max: 4 }
  t.equal(readNumber(undefined, rule), 1)
  t.equal(readNumber('0.5', rule), 0.5)
  for (const text of ['0.4', '4.1', 'x', '', '-1', '1e0', 'NaN', ' 1']) {
    t.throws(() => readNumber(text, rule), {
      message: `--speed must be a number from 0.5 to 4, got "${text}"`,
    })
  }
  const choice = { flag: 'f', default: 'a', choices: ['a', 'b'] } as const
  t.equal(readChoice(undefined, choice), 'a')
  t.equal(readChoice('b', choice), 'b')
  t.throws(() => readChoice('c', choice), { message: '--f must be a or b, got "c"' })
})

t.test('parameters of Amazon Transcribe are options, one each', async t => {
  t.strictSame(
    PARAMETER_ROWS.map(row => row.flag),
    Object.keys(STANDARD_PARAMETERS),
  )
  const parsed = parseArguments(['--language-code', 'en-US', '--show-speaker-label'], PARAMETER_ROWS)
  t.strictSame(readParameterFlags(parsed), { 'language-code': 'en-US', 'show-speaker-label': 'true' })
  t.strictSame(readPairs(['a=b=c', 'd='], 'p'), { a: 'b=c', d: '' })
  t.throws(() => readPairs(['=x'], 'a parameter'), { message: 'a parameter must be name=value, got "=x"' })
  t.throws(() => readPairs(['a=1', 'a=2'], 'p'), { message: 'p a must be given once' })
})

t.test('options of the relay are told from those of a command', async t => {
  const { own, flags } = parseRelayArguments(
    ['--port', '1', '--no-fips', '--quick', '--config=f.json', '--oops', 'v'],
    [{ flag: 'quick', doc: '' }],
  )
  t.equal(own.has('quick'), true)
  t.equal(own.get('config'), 'f.json')
  t.strictSame(flags, [
    { name: 'port', value: '1' },
    { name: 'no-fips', value: null },
    { name: 'oops', value: null },
  ])
  t.throws(() => parseRelayArguments(['--port', '1', 'word'], []), { message: '"word" is one word too many' })
  t.throws(() => parseRelayArguments(['--config'], []), { name: 'UsageError' })
})

t.test('every help page mentions each of its options and fits its width', async t => {
  const relayFlags = OPTION_KEYS.map(flagName)
  const decided = new Set(['region', 'endpoint', 'fips', 'dual-stack', 'profile', 'workers'])
  const expected: Readonly<Record<string, readonly string[]>> = {
    serve: ['config', ...relayFlags],
    config: ['json', 'changed', 'config', ...relayFlags],
    dev: [
      'engine',
      'transcripts',
      'faults',
      'emulator-port',
      ...relayFlags.filter(flag => !decided.has(flag)),
    ],
    canary: ['url', 'every', 'once', 'sample', 'words', 'min-recall', 'max-final-lag-ms'],
    demo: ['file', 'speed', 'engine', 'transcripts'],
    stream: ['url', 'token', 'speed', 'chunk-ms', 'format', 'raw', ...Object.keys(STANDARD_PARAMETERS)],
    emulate: [
      'faults',
      'tls-key',
      ...Object.keys(EMULATOR_OPTIONS).map(name =>
        name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`),
      ),
    ],
    presign: ['region', 'profile', 'expires', 'service', 'host', 'path', ...Object.keys(STANDARD_PARAMETERS)],
    sign: ['service', 'region', 'body', 'header', 'curl'],
  }
  t.strictSame(Object.keys(expected).sort(), Object.keys(COMMANDS).sort())
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const { help } = await entry.load()
    t.equal(help.command, name)
    t.equal(help.summary, entry.summary, 'the overview and the page say the same')
    for (const columns of [20, 80, 200]) {
      const page = renderHelp(help, columns)
      for (const flag of expected[name] ?? [])
        t.match(page, new RegExp(`--${flag}[ \\n]`), `${name} --${flag}`)
      for (const part of ['USAGE', 'EXAMPLES', 'EXIT CODES', 'SEE ALSO']) t.ok(page.includes(part))
      for (const line of page
        .split('\n')
        .filter(text => /^\S/.test(text) && text.includes(' ') && text !== text.toUpperCase())) {
        if (!line.startsWith('transcribe-relay')) t.ok(line.length <= 110, line)
      }
    }
  }
})

t.test('texts are wrapped beside their heads', async t => {
  t.strictSame(wrap('aaa bbb ccc', 9, 2), ['  aaa bbb', '  ccc'])
  t.strictSame(wrap('averyverylongword x', 5, 0), ['averyverylongword', 'x'])
  t.strictSame(renderRow('--a', 'one two', 20, 8), ['  --a   one two'])
  t.strictSame(renderRow('--a-long-one', 'doc', 20, 8), ['  --a-long-one', '        doc'])
})

t.test('service and region are read off an AWS host name', async t => {
  const table: readonly [url: string, service: string | null, region: string | null][] = [
    ['https://transcribe.us-east-1.amazonaws.com/', 'transcribe', 'us-east-1'],
    ['https://transcribestreaming.eu-west-1.amazonaws.com:8443/x', 'transcribe', 'eu-west-1'],
    ['https://api.iotwireless.us-east-1.amazonaws.com/', 'iotwireless', 'us-east-1'],
    ['https://bucket.s3.eu-central-1.amazonaws.com/k', 's3', 'eu-central-1'],
    ['https://examplebucket.s3.amazonaws.com/test.txt', 's3', 'us-east-1'],
    ['https://iam.amazonaws.com/', 'iam', 'us-east-1'],
    ['https://abc.execute-api.us-west-2.amazonaws.com/prod', 'execute-api', 'us-west-2'],
    ['https://abc.lambda-url.us-east-1.on.aws/', 'lambda', 'us-east-1'],
    ['https://bedrock-runtime.us-east-1.amazonaws.com/', 'bedrock', 'us-east-1'],
    ['https://bedrock-agent-runtime.us-east-1.amazonaws.com/', 'bedrock', 'us-east-1'],
    ['https://bedrock-agentcore.us-east-1.amazonaws.com/', 'bedrock-agentcore', 'us-east-1'],
    ['https://b.s3.dualstack.us-east-1.amazonaws.com/k', 's3', 'us-east-1'],
    ['https://b.s3-fips.dualstack.us-east-1.amazonaws.com/k', 's3', 'us-east-1'],
    ['https://a-123456789012.s3-accesspoint.us-west-2.amazonaws.com/k', 's3', 'us-west-2'],
    ['https://vpce-1a-2b.transcribe.us-east-1.vpce.amazonaws.com/', 'transcribe', 'us-east-1'],
    ['https://dynamodb-fips.us-gov-west-1.amazonaws.com/', 'dynamodb', 'us-gov-west-1'],
    ['https://ec2.cn-north-1.amazonaws.com.cn/', 'ec2', 'cn-north-1'],
    ['https://odd.amazonaws.com/', 'odd', null],
    ['https://example.com/', null, null],
    ['no url', null, null],
  ]
  for (const [url, service, region] of table) t.strictSame(guessTarget(url), { service, region }, url)
})
