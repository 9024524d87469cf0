/**
 * `transcribe-relay presign`: a signed WebSocket URL, for Amazon Transcribe or any other AWS service that takes one.
 */
import { EndpointError, resolveEndpoint } from '../transcribe/endpoints.ts'
import { validateParameters } from '../transcribe/parameters.ts'
import { MAX_EXPIRES_SECONDS, presignUrl } from '../upstream/presign.ts'
import type { PresignInput } from '../upstream/presign.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { HELP_ROW, parseArguments, readNumber } from './arguments.ts'
import { findCredentials, findRegion, IDENTITY_ROWS, withPlainErrors } from './aws-identity.ts'
import type { Command, CommandContext } from './command.ts'
import { CommandError, UsageError } from './command.ts'
import { EXIT_FAILURE, EXIT_OK, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import { PARAMETER_ROWS, readPairs, readParameterFlags } from './parameter-flags.ts'

const EXPIRES = { flag: 'expires', default: 60, min: 1, max: MAX_EXPIRES_SECONDS } as const
const TRANSCRIBE = 'transcribe'

const PRESIGN_ROWS: readonly OptionRow[] = [
  ...IDENTITY_ROWS,
  {
    flag: 'expires',
    value: 'SECONDS',
    doc: 'How long the URL opens a connection, seconds. An open one lives on.',
    default: String(EXPIRES.default),
    bounds: `${EXPIRES.min} to ${EXPIRES.max}`,
  },
  { flag: 'endpoint', value: 'URL', doc: 'Amazon Transcribe elsewhere: a VPC endpoint, the emulator.' },
  { flag: 'fips', doc: 'Use the FIPS host name of Amazon Transcribe.' },
  { flag: 'dual-stack', doc: 'Use the host name of Amazon Transcribe that has IPv4 and IPv6.' },
  {
    flag: 'service',
    value: 'NAME',
    doc: 'Another service: its name in the signature. Needs --host and --path.',
    default: TRANSCRIBE,
  },
  { flag: 'host', value: 'HOST', doc: 'Host of the other service, with its port if that is not 443.' },
  { flag: 'path', value: 'PATH', doc: 'Path of the other service.' },
  HELP_ROW,
]

const help: HelpPage = {
  command: 'presign',
  summary: 'print a signed WebSocket URL for Amazon Transcribe or another AWS service',
  usage: [
    'presign [name=value ...] [options]',
    'presign --service NAME --host HOST --path PATH [name=value ...]',
  ],
  purpose: [
    'Signs a URL with the AWS credentials of this machine (Signature Version 4, in the query) and prints it. Parameters of Amazon Transcribe are given as options or as name=value; they are checked before anything is signed. Those of another service are taken as they are.',
    'The URL is a credential: whoever has it can open the connection until it expires.',
  ],
  sections: [
    { title: 'OPTIONS', rows: PRESIGN_ROWS },
    { title: 'PARAMETERS OF AMAZON TRANSCRIBE', rows: PARAMETER_ROWS },
  ],
  examples: [
    {
      doc: 'A stream to Amazon Transcribe:',
      line: 'transcribe-relay presign --region us-east-1 language-code=en-US media-encoding=pcm sample-rate=16000',
    },
    {
      doc: 'The network analyzer of AWS IoT Wireless:',
      line:
        'transcribe-relay presign --region us-east-1 --service iotwireless ' +
        '--host api.iotwireless.us-east-1.amazonaws.com --path /start-network-analyzer-stream',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'the URL was printed' },
    {
      code: EXIT_FAILURE,
      doc: 'no credentials, temporary keys without their session token, no region, or parameters that are not valid',
    },
    USAGE_ROW,
  ],
  seeAlso: ['transcribe-relay sign', 'transcribe-relay serve', 'docs/protocol.md'],
}

export const presignCommand: Command = { help, run }

type Target = Pick<PresignInput, 'host' | 'path' | 'secure' | 'service' | 'parameters'>

async function run(
  args: readonly string[],
  { terminal, environment, clock }: CommandContext,
): Promise<number> {
  const parsed = parseArguments(args, [...PRESIGN_ROWS, ...PARAMETER_ROWS])
  const expiresSeconds = readNumber(parsed.get('expires'), EXPIRES)
  const profile = parsed.get('profile')
  const service = parsed.get('service') ?? TRANSCRIBE
  refuseMixture(parsed, service)
  const region = await findRegion(parsed.get('region'), profile, environment)
  const target = service === TRANSCRIBE ? transcribeTarget(parsed, region) : otherTarget(parsed, service)
  const credentials = await findCredentials(profile)
  const url = await withPlainErrors(() =>
    presignUrl({ ...target, region, credentials, expiresSeconds, signingDateMs: clock.now() }),
  )
  terminal.print(url.reveal())
  terminal.warn(
    `This URL is a credential: it opens a connection on your account for ${expiresSeconds} s. Do not log it.`,
  )
  return EXIT_OK
}

function refuseMixture(parsed: ParsedArguments, service: string): void {
  const isTranscribe = service === TRANSCRIBE
  const wrong = isTranscribe ? ['host', 'path'] : ['endpoint', 'fips', 'dual-stack']
  const found = wrong.find(flag => parsed.has(flag))
  if (found === undefined) return
  throw new UsageError(
    isTranscribe
      ? `--${found} is for another --service; Amazon Transcribe elsewhere is --endpoint`
      : `--${found} is for Amazon Transcribe, not for --service ${service}`,
  )
}

function transcribeTarget(parsed: ParsedArguments, region: string): Target {
  const words = readPairs(parsed.words, 'a parameter')
  const flags = readParameterFlags(parsed)
  const twice = Object.keys(flags).find(name => Object.hasOwn(words, name))
  if (twice !== undefined) throw new UsageError(`a parameter ${twice} must be given once`)
  const validation = validateParameters({ ...words, ...flags })
  if (!validation.ok) {
    const lines = validation.problems.map(({ parameter, value, rule }) =>
      value === null ? `  ${parameter} ${rule}` : `  ${parameter} ${rule}, got "${value}"`,
    )
    throw new CommandError(['the parameters are not valid', ...lines].join('\n'))
  }
  try {
    const endpoint = resolveEndpoint({
      region,
      fips: parsed.has('fips'),
      dualStack: parsed.has('dual-stack'),
      endpointOverride: parsed.get('endpoint'),
    })
    return { ...endpoint, service: TRANSCRIBE, parameters: validation.parameters.wire }
  } catch (error) {
    if (error instanceof EndpointError) throw new CommandError(error.message, { cause: error })
    throw error
  }
}

function otherTarget(parsed: ParsedArguments, service: string): Target {
  const host = parsed.get('host')
  const path = parsed.get('path')
  if (host === undefined || path === undefined)
    throw new UsageError(`--service ${service} needs --host and --path`)
  if (!/^[a-z0-9-]{1,64}$/.test(service))
    throw new UsageError(`--service must be letters, digits and -, got "${service}"`)
  if (!/^[a-zA-Z0-9.-]{1,253}(:\d{1,5})?$/.test(host))
    throw new UsageError(`--host must be a host name with or without a port, got "${host}"`)
  if (!/^\/[^?#\s]*$/.test(path))
    throw new UsageError(`--path must begin with / and hold no query, got "${path}"`)
  // 443 is the port of wss: HTTP clients leave it out of the Host header, and what is signed must be what is sent.
  return {
    host: host.replace(/:443$/, ''),
    path,
    secure: true,
    service,
    parameters: readPairs(parsed.words, 'a parameter'),
  }
}
