/**
 * Loads the native build of uWebSockets.js, the only file that names its packages.
 *
 * Two packages hold the same API, built against different C libraries. The newer is tried first, then the one for
 * older systems. Neither is imported statically: a build that does not fit the machine must become one clear error,
 * and the ES module wrapper of the first turns a failed load into an uncaught exception, so it is required instead.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { AppOptions, TemplatedApp, us_listen_socket } from 'uWebSockets.js'

/** What this folder uses of the library. `listen` has a fourth form that the package's own types leave out. */
export interface Uws {
  App(): UwsApp
  /** Throws without a reason when the files cannot be used. */
  SSLApp(options: AppOptions): UwsApp
  readonly DISABLED: number
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number
  us_listen_socket_close(listenSocket: us_listen_socket): void
  us_socket_local_port(listenSocket: us_listen_socket): number
}

export interface UwsApp extends Omit<TemplatedApp, 'listen'> {
  /** Hands accepted connections to another app of the same kind; several get them in turn. Not in the package's own types. */
  addChildAppDescriptor(descriptor: AppDescriptor): void
  removeChildAppDescriptor(descriptor: AppDescriptor): void
  getDescriptor(): AppDescriptor
  /** Calls back before it returns: with `false` when the address cannot be bound. */
  listen(
    host: string,
    port: number,
    options: number,
    onListen: (socket: us_listen_socket | false) => void,
  ): void
}

/** Opaque: names an app among the apps of a process. */
export type AppDescriptor = unknown

/** The build in use, for the build-info metric. */
export interface UwsBuild {
  readonly uws: Uws
  readonly packageName: string
  /** Version of the package, `unknown` when its package.json cannot be found. */
  readonly version: string
}

export interface UwsCandidate {
  readonly packageName: string
  /** Where it runs; part of the error. */
  readonly needs: string
  readonly load: () => Promise<unknown>
}

/** No candidate could be loaded. `cause` is an AggregateError with one error a candidate. */
export class UwsLoadError extends Error {
  override readonly name = 'UwsLoadError'
}

const require = createRequire(import.meta.url)

const CANDIDATES: readonly UwsCandidate[] = [
  {
    packageName: 'uWebSockets.js',
    needs: 'Node.js 20, 22, 24 or 25 and glibc 2.38 or later (Debian 13, Ubuntu 24.04)',
    load: async () => require('uWebSockets.js') as unknown,
  },
  {
    packageName: 'uWebSockets.js-glibc227',
    needs: 'Node.js 20 or 22 and glibc 2.27 or later (Debian 12, Ubuntu 22.04)',
    load: async () => import('uWebSockets.js-glibc227'),
  },
]

/** @throws UwsLoadError naming the ABI and the C library found, and what would help. */
export async function loadUws(candidates: readonly UwsCandidate[] = CANDIDATES): Promise<UwsBuild> {
  const failures: Error[] = []
  for (const { packageName, load } of candidates) {
    try {
      // One after the other: the second is wanted only when the first fails.
      // oxlint-disable-next-line no-await-in-loop
      const uws = await load()
      if (!isUws(uws)) throw new TypeError(`${packageName} does not export the API of uWebSockets.js`)
      return { uws, packageName, version: readVersion(packageName) }
    } catch (cause) {
      failures.push(new Error(`${packageName}: ${describeFailure(cause)}`, { cause }))
    }
  }
  throw new UwsLoadError(describeFailures(candidates, failures), { cause: new AggregateError(failures) })
}

function isUws(value: unknown): value is Uws {
  if (typeof value !== 'object' || value === null) return false
  const {
    App,
    SSLApp,
    us_listen_socket_close: close,
    us_socket_local_port: localPort,
  } = value as Partial<Uws>
  return [App, SSLApp, close, localPort].every(member => typeof member === 'function')
}

function readVersion(packageName: string): string {
  // The packages do not export their package.json, so it is looked for where Node.js would look for the package.
  for (const folder of require.resolve.paths(packageName) ?? []) {
    const file = join(folder, packageName, 'package.json')
    if (!existsSync(file)) continue
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }
    if (typeof version === 'string') return version
  }
  return 'unknown'
}

function describeFailures(candidates: readonly UwsCandidate[], failures: readonly Error[]): string {
  const found =
    `Node.js ${process.versions.node} (ABI ${process.versions.modules}), ` +
    `${process.platform} ${process.arch}, ${readGlibcVersion()}`
  const needs = candidates.map(({ packageName, needs: rule }) => `${packageName} needs ${rule}`)
  return (
    `No native build of uWebSockets.js runs here. Found: ${found}. ` +
    `${needs.join('; ')}; musl (Alpine) runs none of them. ` +
    `What was tried: ${failures.map(({ message }) => message).join('; ')}.`
  )
}

/** The loader's own sentence is the last line; the packages put a paragraph of general advice before it. */
function describeFailure(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause)
  return text.trim().split('\n').at(-1)?.slice(0, 300) ?? ''
}

function readGlibcVersion(): string {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const version = header?.glibcVersionRuntime
  return version === undefined ? 'no glibc' : `glibc ${version}`
}
