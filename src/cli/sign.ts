/**
 * `transcribe-relay sign`: Signature Version 4 headers for one HTTP request to any AWS service.
 */
import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { signRequest } from '../upstream/presign.ts'
import type { SignedRequest } from '../upstream/presign.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { expectWords, HELP_ROW, parseArguments } from './arguments.ts'
import { findCredentials, findRegion, IDENTITY_ROWS, withPlainErrors } from './aws-identity.ts'
import { guessTarget } from './aws-target.ts'
import type { Command, CommandContext } from './command.ts'
import { CommandError, UsageError } from './command.ts'
import { EXIT_FAILURE, EXIT_OK, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'

/** Ours: the largest body that is read to be signed. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024

const SIGN_ROWS: readonly OptionRow[] = [
  {
    flag: 'service',
    value: 'NAME',
    doc: 'Name of the service in the signature. Else taken from the host name.',
  },
  ...IDENTITY_ROWS,
  {
    flag: 'body',
    value: 'FILE',
    doc: 'Body of the request, a file, or - for standard input.',
    bounds: 'at most 16 MiB',
  },
  {
    flag: 'header',
    short: 'H',
    value: 'NAME:VALUE',
    multiple: true,
    doc: 'A header to send and sign; may be given again.',
  },
  { flag: 'curl', doc: 'Print a curl line for the request in place of its headers.' },
  HELP_ROW,
]

const help: HelpPage = {
  command: 'sign',
  summary: 'sign an HTTP request for any AWS service',
  usage: ['sign METHOD URL [options]'],
  purpose: [
    'Signs one request with the AWS credentials of this machine and prints the headers to send, a line each, or a curl line. The request itself is not sent. Service and region come from the host name where it tells them, and are printed on standard error.',
    'The headers are a credential: AWS accepts them for five minutes.',
  ],
  sections: [{ title: 'OPTIONS', rows: SIGN_ROWS }],
  examples: [
    {
      doc: 'Who am I?',
      line: 'eval "$(transcribe-relay sign GET \'https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\' --curl)"',
    },
    {
      doc: 'A request with a body:',
      line: 'transcribe-relay sign POST https://transcribe.us-east-1.amazonaws.com/ --body list.json -H content-type:application/x-amz-json-1.1 -H x-amz-target:Transcribe.ListVocabularies --curl',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'the headers were printed' },
    { code: EXIT_FAILURE, doc: 'no credentials, no region, or a body that cannot be read' },
    USAGE_ROW,
  ],
  seeAlso: ['transcribe-relay presign'],
}

export const signCommand: Command = { help, run }

async function run(
  args: readonly string[],
  { terminal, environment, stdin, clock }: CommandContext,
): Promise<number> {
  const parsed = parseArguments(args, SIGN_ROWS)
  expectWords(parsed, 2, 2, 'sign METHOD URL')
  const [method = '', url = ''] = parsed.words
  if (!/^[A-Z]{1,16}$/.test(method)) throw new UsageError(`METHOD must be one such as GET, got "${method}"`)
  if (parsed.has('curl') && parsed.get('body') === '-') {
    throw new UsageError('--curl needs a --body from a file: standard input can be read only once')
  }
  const headers = readHeaders(parsed.getAll('header'))
  const guess = guessTarget(url)
  const service = parsed.get('service') ?? guess.service
  if (service === null) throw new UsageError('the host name does not tell the service; give --service')
  const profile = parsed.get('profile')
  const region = await findRegion(parsed.get('region') ?? guess.region ?? undefined, profile, environment)
  const body = await readBody(parsed, stdin)
  const credentials = await findCredentials(profile)
  const signed = await withPlainErrors(() =>
    signRequest({
      method,
      url,
      service,
      region,
      headers,
      credentials,
      signingDateMs: clock.now(),
      ...(body === null ? {} : { body }),
    }),
  )
  terminal.print(parsed.has('curl') ? renderCurl(signed, parsed.get('body')) : renderHeaders(signed))
  // Both may be a guess, and AWS says of a wrong one only that the signature does not match.
  terminal.warn(`Signed for the service ${service} in ${region}.`)
  terminal.warn('These headers are a credential: AWS accepts them for five minutes. Do not log them.')
  return EXIT_OK
}

export function renderHeaders({ headers }: SignedRequest): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')
}

/** A line for a POSIX shell. `bodyFile` as on the command line. */
export function renderCurl({ method, url, headers }: SignedRequest, bodyFile: string | undefined): string {
  const words = ['curl', '--fail-with-body', '-X', method, quote(url)]
  for (const [name, value] of Object.entries(headers)) {
    // curl makes this one from the URL, the same way.
    if (name.toLowerCase() !== 'host') words.push('-H', quote(`${name}: ${value}`))
  }
  if (bodyFile !== undefined) words.push('--data-binary', quote(`@${bodyFile}`))
  return words.join(' ')
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function readHeaders(given: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const text of given) {
    // RFC 9110 §5.1 and §5.5: a token, a colon, and a value without line breaks.
    const parts = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)$/.exec(text)
    if (parts === null)
      throw new UsageError(`--header must be name:value, got "${text.replaceAll(/:.*/gs, ':…')}"`)
    headers[(parts[1] ?? '').toLowerCase()] = (parts[2] ?? '').trim()
  }
  return headers
}

async function readBody(parsed: ParsedArguments, stdin: Readable): Promise<Uint8Array | null> {
  const path = parsed.get('body')
  if (path === undefined) return null
  const body = path === '-' ? await readAll(stdin) : await readBodyFile(path)
  if (body.length > MAX_BODY_BYTES) throw new CommandError(`the body has more than ${MAX_BODY_BYTES} bytes`)
  return body
}

async function readAll(stdin: Readable): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of stdin as AsyncIterable<Uint8Array>) {
    parts.push(part)
    bytes += part.length
    if (bytes > MAX_BODY_BYTES) break
  }
  return Buffer.concat(parts)
}

async function readBodyFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new CommandError(`--body ${path} cannot be read (${code})`, { cause: error })
  }
}
