/**
 * The configuration file: one JSON object, option keys to values. `"$schema"` may stand beside them for editors.
 */
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { ConfigError } from './problems.ts'

/** More than any set of options needs; a log or an audio file given by mistake is not read into memory. */
export const MAX_CONFIG_FILE_BYTES = 65_536

export interface ConfigFile {
  /** Name of the file without its folder, for messages. */
  readonly name: string
  /** Not yet checked. */
  readonly values: Readonly<Record<string, unknown>>
}

/** Reads at most `MAX_CONFIG_FILE_BYTES`. Throws `ConfigError`. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const name = basename(path)
  return parseConfigFile(name, await readBounded(path, name))
}

/** Throws `ConfigError`. Problems do not quote the text: it may hold what is not for a log. */
export function parseConfigFile(name: string, text: string): ConfigFile {
  const parsed = parseJson(name, text)
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new ConfigError([{ path: name, value: null, rule: 'must be a JSON object of options' }])
  }
  const { $schema: _schema, ...values } = parsed as Record<string, unknown>
  return { name, values }
}

async function readBounded(path: string, name: string): Promise<string> {
  try {
    const handle = await open(path, 'r')
    try {
      const bytes = Buffer.alloc(MAX_CONFIG_FILE_BYTES + 1)
      const length = await fill(handle, bytes)
      if (length <= MAX_CONFIG_FILE_BYTES) return bytes.toString('utf8', 0, length)
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new ConfigError([{ path: name, value: null, rule: `must be a readable file (${code})` }])
  }
  throw new ConfigError([
    { path: name, value: null, rule: `must have at most ${MAX_CONFIG_FILE_BYTES} bytes` },
  ])
}

interface Readable {
  read(buffer: Buffer, offset: number): Promise<{ bytesRead: number }>
}

/** A pipe gives its content in pieces. */
async function fill(source: Readable, bytes: Buffer): Promise<number> {
  let length = 0
  while (length < bytes.length) {
    const { bytesRead } = await source.read(bytes, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return length
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    throw new ConfigError([{ path: name, value: null, rule: 'must be valid JSON' }])
  }
}
