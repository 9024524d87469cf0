/** The real recogniser: its output, its life, and, where it is installed, what it understands. */
import { EventEmitter, once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  createPocketsphinxEngine,
  detectPocketsphinx,
  loadRecordings,
  type Engine,
  type PocketsphinxOptions,
  type StreamException,
  type WireResult,
} from '../../../src/emulator/index.ts'
import { PocketsphinxOutput } from '../../../src/emulator/engines/pocketsphinx-output.ts'
import { Resampler } from '../../../src/emulator/engines/resampler.ts'
import type { HeardWord } from '../../../src/emulator/engines/result-builder.ts'
import { validateParameters } from '../../../src/transcribe/parameters.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const PCM = { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' }

interface Hearing {
  readonly engine: Engine
  readonly results: WireResult[]
  /** The exception, or `null` after an orderly end. */
  readonly outcome: Promise<StreamException | null>
}

function open(t: Test, options: PocketsphinxOptions, parameters: Record<string, string> = PCM): Hearing {
  const validation = validateParameters(parameters)
  if (!validation.ok) throw new Error(JSON.stringify(validation.problems))
  const results: WireResult[] = []
  const events = new EventEmitter<{ outcome: [StreamException | null] }>()
  const outcome = once(events, 'outcome').then(([value]) => value as StreamException | null)
  const engine = createPocketsphinxEngine(options).open(
    { parameters: validation.parameters, streamId: 'stream' },
    {
      engineOnResults: more => results.push(...more),
      engineOnEnd: () => events.emit('outcome', null),
      engineOnFailure: exception => events.emit('outcome', exception),
    },
  )
  t.teardown(() => engine.close())
  return { engine, results, outcome }
}

/** A program in the place of the recogniser. */
function fakeProgram(t: Test, script: string): string {
  const program = join(t.testdir(), 'recogniser')
  writeFileSync(program, `#!/bin/sh\n${script}\n`)
  chmodSync(program, 0o755)
  return program
}

function textOf(results: readonly WireResult[]): string {
  return results.map(({ Alternatives }) => Alternatives[0]?.Transcript).join(' ')
}

t.test('the output of the program becomes utterances, however it is cut', async t => {
  const output =
    'he was\n<s> 0.000 0.060 0.999\nhe 0.210 0.320 0.998\n[SPEECH] 0.3 0.4 0.5\nwas(2) 0.330 0.540 1.0001\n++NOISE++ 0.6 0.7 0.9\n</s> 0.550 0.6 1.0\n\n<s> 1.0 1.1 0.9\n</s> 1.2 1.3 0.9\n'
  for (const step of [1, 7, output.length]) {
    const utterances: (readonly HeardWord[])[] = []
    const reader = new PocketsphinxOutput(words => utterances.push(words))
    for (let offset = 0; offset < output.length; offset += step)
      reader.write(output.slice(offset, offset + step))
    t.strictSame(utterances, [
      [
        { content: 'he', startSeconds: 0.21, endSeconds: 0.32, confidence: 0.998 },
        { content: 'was', startSeconds: 0.33, endSeconds: 0.54, confidence: 1 },
      ],
    ])
  }
})

t.test('resampling keeps the tone and the length, however the audio is cut', async t => {
  for (const fromHz of [8000, 16_000, 44_100, 48_000]) {
    const samples = Int16Array.from(
      { length: fromHz },
      (_, index) => 10_000 * Math.sin((2 * Math.PI * 300 * index) / fromHz),
    )
    const whole = new Resampler(fromHz, 16_000).push(samples)
    t.ok(Math.abs(whole.length - 16_000) < 10, `${fromHz} Hz: ${whole.length} samples`)
    let crossings = 0
    for (let index = 1; index < whole.length; index++) {
      if ((whole[index - 1] ?? 0) < 0 && (whole[index] ?? 0) >= 0) crossings++
    }
    t.ok(Math.abs(crossings - 300) <= 1, `${crossings} periods`)
    const cut = new Resampler(fromHz, 16_000)
    const parts: number[] = []
    for (let offset = 0; offset < samples.length; offset += 333)
      parts.push(...cut.push(samples.subarray(offset, offset + 333)))
    t.strictSame(parts, [...whole])
  }
})

t.test('results come when the program prints, with its times and confidences', async t => {
  const program = fakeProgram(
    t,
    `head -c 3200 > /dev/null
printf 'hello there\\n<s> 0.0 0.1 0.9\\nhello 0.1 0.4 0.8\\nthere(2) 0.4 0.9 0.7\\n</s> 0.9 1.0 1.0\\n'
cat > /dev/null`,
  )
  const { engine, results, outcome } = open(t, { program })
  engine.write(Buffer.alloc(3200))
  engine.end()
  t.equal(await outcome, null)
  t.match(results, [
    {
      StartTime: 0.1,
      EndTime: 0.9,
      IsPartial: false,
      Alternatives: [{ Transcript: 'hello there', Items: [{ Confidence: 0.8 }, { Confidence: 0.7 }] }],
    },
  ])
})

t.test('what goes wrong with the program ends the stream with InternalFailureException', async t => {
  const clock = new ManualClock()
  const missing = open(t, { program: join(t.testdir(), 'nothing') })
  t.match(await missing.outcome, { name: 'InternalFailureException', message: /ended with status 127/ })
  const early = open(t, { program: fakeProgram(t, 'exit 0') })
  early.engine.write(Buffer.alloc(3200))
  t.match(await early.outcome, { message: /ended too early/ })
  const slow = open(t, { program: fakeProgram(t, 'exec sleep 600'), maxBacklogSeconds: 1 })
  // More than the buffers of the kernel hold, and those of the pipeline before the program.
  for (let second = 0; second < 60; second++) slow.engine.write(Buffer.alloc(32_000))
  t.match(await slow.outcome, { message: /cannot keep up/ })
  const stuck = open(t, { program: fakeProgram(t, 'exec sleep 600'), clock, finishTimeoutMs: 1000 })
  stuck.engine.end()
  clock.advance(1000)
  t.match(await stuck.outcome, { message: /did not finish in time/ })
  const flac = open(t, { program: fakeProgram(t, 'cat > /dev/null') }, { ...PCM, 'media-encoding': 'flac' })
  flac.engine.write(Buffer.from('fLaC'))
  t.match(await flac.outcome, { message: /takes PCM only, not flac/ })
  const nothing = open(t, { program: fakeProgram(t, 'exit 0') }, { ...PCM, 'media-encoding': 'flac' })
  nothing.engine.end()
  t.equal(await nothing.outcome, null)
  t.throws(() => createPocketsphinxEngine({ finishTimeoutMs: 1 }), {
    message: /finishTimeoutMs must be from 100 to 600000, got 1/,
  })
})

t.test('a program that is not there is not detected', async t => {
  t.equal(await detectPocketsphinx(join(t.testdir(), 'nothing')), null)
  t.equal(await detectPocketsphinx(fakeProgram(t, 'exit 1')), null)
})

t.test('at least half of the words of real speech are understood, in order and in time', async t => {
  const program = await detectPocketsphinx()
  if (program === null) {
    t.comment('pocketsphinx is not installed: recognition of real speech was left out')
    return
  }
  for (const { name, samples, words } of await loadRecordings('examples/audio')) {
    const { engine, results, outcome } = open(t, { program })
    engine.write(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength))
    engine.end()
    t.equal(await outcome, null)
    const heard = new Set(textOf(results).split(' '))
    const found = words.filter(({ content }) => heard.has(content)).length
    t.comment(`${name}: ${found} of ${words.length} words: ${textOf(results)}`)
    t.ok(found >= words.length / 2)
    const times = results.flatMap(({ Alternatives }) => Alternatives[0]?.Items ?? [])
    t.ok(
      times.every(({ StartTime }, index) => index === 0 || StartTime >= (times[index - 1]?.StartTime ?? 0)),
    )
  }
})

t.test('two channels are understood apart', async t => {
  const program = await detectPocketsphinx()
  if (program === null) {
    t.comment('pocketsphinx is not installed: recognition of two channels was left out')
    return
  }
  const [, left] = await loadRecordings('examples/audio')
  const samples = left?.samples ?? new Int16Array(0)
  const stereo = Buffer.alloc(samples.length * 4)
  samples.forEach((sample, index) => stereo.writeInt16LE(sample, index * 4))
  const identified = { ...PCM, 'enable-channel-identification': 'true', 'number-of-channels': '2' }
  const { engine, results, outcome } = open(t, { program }, identified)
  engine.write(stereo)
  engine.end()
  t.equal(await outcome, null)
  t.match(textOf(results), /young man/)
  t.ok(results.every(({ ChannelId }) => ChannelId === 'ch_0'))
})
