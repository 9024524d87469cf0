import t from 'tap'
import { fitEnd, formatClock, ProgressView, renderProgress, renderResult } from '../../src/cli/progress.ts'
import type { ResultLine } from '../../src/cli/progress.ts'
import {
  addStatistics,
  countResult,
  createStatistics,
  MAX_KEPT_LAGS,
  percentile,
} from '../../src/cli/statistics.ts'
import { formatBytes, formatMs, renderSummary } from '../../src/cli/summary.ts'
import { createTerminal, PAGE_COLUMNS, printable } from '../../src/cli/terminal.ts'
import { memoryContext } from '../support/cli.ts'
import { ManualClock } from '../support/manual-clock.ts'

const ESCAPE = '\\u001b'
const COLOUR = new RegExp(`${ESCAPE}\\[\\d*m`, 'g')
/** Line feed, cursor up, clear line. */
const MOVES = new RegExp(`(\\n|${ESCAPE}\\[1A|${ESCAPE}\\[2K)`)

function line(text: string, isFinal: boolean, more: Partial<ResultLine> = {}): ResultLine {
  return { text, isFinal, startSeconds: 0.4, endSeconds: 3.2, speaker: null, channel: null, ...more }
}

/** What a screen shows after these bytes: line feeds, cursor up and clear line are all that is used. */
function screen(output: string): string[] {
  const lines: string[] = ['']
  let row = 0
  for (const part of output.split(MOVES)) {
    if (part === '\n') {
      row += 1
      if (row === lines.length) lines.push('')
    } else if (part === '\x1b[1A') row -= 1
    else if (part === '\x1b[2K') lines[row] = ''
    else lines[row] += part.replaceAll(COLOUR, '')
  }
  while (lines.at(-1) === '') lines.pop()
  return lines
}

t.test('on a screen finals scroll up, the partial and the bar stay below', async t => {
  const { terminal, output } = memoryContext({ interactive: true, columns: 60 })
  const clock = new ManualClock()
  const view = new ProgressView(terminal, {
    totalSeconds: 6,
    partialLines: false,
    monotonicMs: () => clock.monotonicMs(),
  })
  view.audioSent(1.5)
  view.result(line('hello wor', false))
  t.strictSame(screen(output.stdout), ['~ hello wor', '[########......................] 0:01.5 / 0:06.0'])
  view.result(line('hello world', true))
  t.strictSame(screen(output.stdout), [
    '[   0.40 -    3.20] hello world',
    '',
    '[########......................] 0:01.5 / 0:06.0',
  ])
  view.note('a notice')
  view.result(line('and mo', false))
  clock.advance(1000)
  view.audioSent(3)
  t.strictSame(screen(output.stdout), [
    '[   0.40 -    3.20] hello world',
    'a notice',
    '~ and mo',
    '[###############...............] 0:03.0 / 0:06.0',
  ])
  view.clearPartial()
  view.finish()
  t.strictSame(screen(output.stdout), ['[   0.40 -    3.20] hello world', 'a notice'])
})

t.test('the bar is not redrawn for every message', async t => {
  const { terminal, output } = memoryContext({ interactive: true })
  const clock = new ManualClock()
  const view = new ProgressView(terminal, {
    totalSeconds: null,
    partialLines: false,
    monotonicMs: () => clock.monotonicMs(),
  })
  for (let seconds = 0; seconds < 10; seconds += 1) view.audioSent(seconds)
  t.strictSame(screen(output.stdout), ['', '0:00.0'])
  clock.advance(100)
  view.audioSent(10)
  t.strictSame(screen(output.stdout), ['', '0:10.0'])
})

t.test('without a screen there are plain lines, partials only where wanted', async t => {
  for (const partialLines of [true, false]) {
    const { terminal, output } = memoryContext()
    const view = new ProgressView(terminal, { totalSeconds: 6, partialLines, monotonicMs: () => 0 })
    view.audioSent(1)
    view.result(line('hello', false))
    view.result(line('hello', false))
    view.result(line('hello world', true))
    view.finish()
    const partial = partialLines ? '[   0.40 -    3.20] ~ hello\n' : ''
    t.equal(output.stdout, `${partial}[   0.40 -    3.20] hello world\n`)
  }
})

t.test('a result line names channel and speaker, and cannot drive the terminal', async t => {
  t.equal(
    renderResult(line('hi', true, { speaker: '1', channel: 'ch_0' })),
    '[   0.40 -    3.20] ch_0 speaker 1: hi',
  )
  t.equal(renderResult(line('a\x1b[2Jb\x07\nc', true)), '[   0.40 -    3.20] a [2Jb  c')
  t.equal(printable('\x1b]0;title\x07x\x9b'), ' ]0;title x ')
})

t.test('no line is wider than the screen', async t => {
  const text = 'the quick brown fox jumps over the lazy dog'
  t.equal(fitEnd(text, 10), '… lazy dog')
  t.equal(fitEnd(text, 100), text)
  t.equal(fitEnd('日本語のテキスト', 7), '…キスト')
  t.equal(fitEnd('日本語', 6), '日本語')
  for (const columns of [1, 5, 20, 47, 48, 200]) {
    const [partial, bar] = renderProgress({ sentSeconds: 1, totalSeconds: 3700, partial: text }, columns)
    t.ok(partial.replaceAll(COLOUR, '').length <= Math.max(columns, 3))
    t.ok(columns < 20 || bar.length <= columns, `bar in ${columns}`)
  }
  t.equal(renderProgress({ sentSeconds: 1, totalSeconds: 0, partial: '' }, 80)[1], '0:01.0 / 0:00.0')
  t.match(renderProgress({ sentSeconds: 9, totalSeconds: 3, partial: '' }, 80)[1], /\[#{30}\]/)
})

t.test('times, sizes and percentiles', async t => {
  t.equal(formatClock(0.1 + 0.2), '0:00.3')
  t.equal(formatClock(3723.45), '1:02:03.4')
  t.equal(formatBytes(1023), '1023 B')
  t.equal(formatBytes(2048), '2.0 KiB')
  t.equal(formatBytes(3 * 1024 * 1024), '3.0 MiB')
  t.equal(formatMs(999.4), '999 ms')
  t.equal(formatMs(1500), '1.50 s')
  t.equal(percentile([], 0.5), null)
  t.equal(percentile([3, 1, 2], 0.5), 2)
  t.equal(percentile([3, 1, 2], 1), 3)
  t.equal(percentile([5], 0), 5)
})

t.test('lags count from the moment a sample was due', async t => {
  const statistics = createStatistics()
  countResult(statistics, { text: '', isFinal: false, endSeconds: 0 }, 100, 1)
  countResult(statistics, { text: 'one', isFinal: false, endSeconds: 1 }, 400, 1)
  countResult(statistics, { text: 'one two', isFinal: true, endSeconds: 2 }, 2250, 1)
  countResult(statistics, { text: 'three', isFinal: true, endSeconds: 4 }, 2600, 2)
  countResult(statistics, { text: 'four', isFinal: true, endSeconds: 8 }, 2700, Infinity)
  t.match(statistics, { partials: 2, finals: 3, words: 4, firstResultMs: 400, finalLagsMs: [250, 600] })
  const total = createStatistics()
  addStatistics(total, { ...statistics, audioSeconds: 7, frames: 70, audioBytes: 224_000, rollovers: 1 })
  addStatistics(total, createStatistics())
  t.equal(
    renderSummary(total, 7.5),
    [
      '  audio sent     7.00 s in 7.50 s',
      '  frames, bytes  70 frames, 218.8 KiB',
      '  results        3 final (4 words), 2 partial',
      '  first text     400 ms after the first audio',
      '  lag of finals  median 250 ms, longest 600 ms (from the end of the speech to its text)',
      '  rollovers      1',
    ].join('\n'),
  )
  t.match(renderSummary(createStatistics(), 1), /none came[^]*not measured/)
  t.match(renderSummary({ ...createStatistics(), finalLagsMs: [5] }, 1), /lag of finals {2}5 ms$/)
})

t.test('a stream without end keeps the newest lags only', async t => {
  const statistics = createStatistics()
  for (let index = 0; index < MAX_KEPT_LAGS + 5; index += 1) {
    countResult(statistics, { text: 'x', isFinal: true, endSeconds: 0 }, index, 1)
  }
  t.equal(statistics.finalLagsMs.length, MAX_KEPT_LAGS)
  t.equal(statistics.finalLagsMs[0], 5)
})

t.test('a terminal knows its width, a page has its own', async t => {
  const written: string[] = []
  const sink = { isTTY: true, columns: 72, write: (text: string) => written.push(text) }
  const screenTerminal = createTerminal(sink, sink)
  t.match(screenTerminal, { interactive: true, columns: 72 })
  t.equal(createTerminal({ ...sink, isTTY: false }, sink).columns, PAGE_COLUMNS)
  t.equal(createTerminal({ ...sink, columns: 0 }, sink).columns, PAGE_COLUMNS)
  t.equal(createTerminal({ isTTY: true, write: () => undefined }, sink).columns, PAGE_COLUMNS)
  screenTerminal.write('a')
  screenTerminal.print('b')
  screenTerminal.warn('c')
  t.strictSame(written, ['a', 'b\n', 'c\n'])
})
