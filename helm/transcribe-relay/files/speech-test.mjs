/**
 * What `helm test` runs in the cluster: streams a second of speech to the relay with its own client, and checks the answer.
 *
 *     node speech-test.mjs CLI WAV URL
 *
 * Exit code 0 only if the relay opened a stream, returned a final result with words in it, and ended in order.
 */
import { execFile } from 'node:child_process'

const LIMIT_MS = 45_000

const [cli, wav, url] = process.argv.slice(2)
const words = [cli, 'stream', wav, '--url', url, '--format', 'json', '--language-code', 'en-US']

execFile(process.execPath, words, { timeout: LIMIT_MS }, (error, stdout, stderr) => {
  const problem = error === null ? findProblem(stdout) : `the client failed: ${error.message}${stderr}`
  process.stdout.write(stdout)
  process.stdout.write(problem === null ? 'passed\n' : `failed: ${problem}\n`)
  process.exitCode = problem === null ? 0 : 1
})

function findProblem(stdout) {
  const messages = stdout
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
  if (messages[0]?.type !== 'Begin') return 'the relay did not begin'
  if (messages.at(-1)?.type !== 'End') return 'the relay did not end in order'
  const finals = messages.filter(({ type, is_final: isFinal }) => type === 'Transcript' && isFinal)
  if (!finals.some(({ text }) => /[a-z]/i.test(text))) return 'no final result with words'
  return null
}
