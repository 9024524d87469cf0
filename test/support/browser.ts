/** A real Chromium without a window, whose microphone is a file, and a server for the page that it opens. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium, type Browser } from 'playwright-core'
import type { Closing } from './world.ts'

/** Debian's own: the package is chromium. */
const CHROMIUM = '/usr/bin/chromium'

/** Where the tests decide over a change (`CI=true`) it must be there. */
export function hasBrowser(t: {
  comment(text: string): void
  fail(text: string): unknown
  pass(text: string): unknown
}): boolean {
  if (spawnSync(CHROMIUM, ['--version']).error === undefined) return true
  const text = 'chromium is not installed (apt-get install chromium); browsers were left out'
  if (process.env['CI'] === 'true') t.fail(text)
  else t.pass(text)
  return false
}

/** `microphoneFile`: a WAV file that is played once, from the moment the page opens the microphone. */
export async function startBrowser(t: Closing, microphoneFile: string): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      // Its sandbox wants a user of its own; it sees pages of this test only.
      '--no-sandbox',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${microphoneFile}%noloop`,
    ],
  })
  t.teardown(() => browser.close())
  return browser
}

/** Serves one HTML page under every path. Returns its origin. */
export async function servePage(t: Closing, html: string | Buffer): Promise<string> {
  const server = createServer((_, response) =>
    response.setHeader('content-type', 'text/html; charset=utf-8').end(html),
  )
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export const MICROPHONE_PAGE = readFileSync('examples/browser/microphone.html')
