/**
 * The emulated Amazon Transcribe as a process of its own, so that its work is not counted as that of who is measured.
 * Says its URL when it listens, and answers every message with what it knows of its streams. Ends with its parent.
 */
import { createEmulator, createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import type { EmulatorNews, HeardStream } from './emulator-process.ts'
import { SPEECH_FOLDER } from './speech.ts'

const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const emulator = createEmulator({
  engine,
  concurrentStreams: 100_000,
  startsPerSecond: 100_000,
  keepStreams: 100_000,
})

function tell(news: EmulatorNews): void {
  process.send?.(news)
}

process.on('message', () => {
  const streams = emulator.streams.map(
    ({ sessionId, sha256, audioBytes, isEnded, closeCause }): HeardStream => ({
      sessionId,
      sha256,
      audioBytes,
      isEnded,
      closeCause,
    }),
  )
  tell({ streams })
})
process.on('disconnect', () => void emulator.close())

const { url } = await emulator.start()
tell({ url })
