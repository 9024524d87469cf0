/**
 * A relay on AWS's own client, the way every published relay for Node.js is built: a `ws` server, a queue, an async
 * generator that feeds the SDK, which signs every chunk and speaks HTTP/2 with a connection of its own for each stream.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  StartStreamTranscriptionCommand,
  TranscribeStreamingClient,
  type AudioStream,
} from '@aws-sdk/client-transcribe-streaming'
import { WebSocketServer, type WebSocket } from 'ws'
import { isCloseStream, resultMessage, type StartPeer } from './peer.ts'

export const startSdkRelay: StartPeer = async options => {
  const transcribe = new TranscribeStreamingClient({
    region: options.region,
    endpoint: options.http2Url,
    credentials: options.credentials,
  })
  const server = createServer()
  const clients = new WebSocketServer({ server, path: '/v1/stream', perMessageDeflate: false })
  clients.on('connection', (client, request) => {
    const rate = new URL(request.url ?? '', 'ws://relay').searchParams.get('sample-rate') ?? '16000'
    relay(client, transcribe, Number(rate)).then(
      () => client.close(1000),
      () => client.close(1011),
    )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', 8192, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        transcribe.destroy()
        for (const client of clients.clients) client.terminate()
        server.close(() => resolve())
      }),
  }
}

async function relay(
  client: WebSocket,
  transcribe: TranscribeStreamingClient,
  sampleRate: number,
): Promise<void> {
  const audio = new AudioQueue()
  client.on('message', (data, isBinary) => {
    const bytes = data as Buffer
    if (isBinary) audio.push(bytes)
    else if (isCloseStream(bytes.toString('utf8'))) audio.end()
  })
  client.on('close', () => audio.end())
  client.on('error', () => audio.end())
  const answer = await transcribe.send(
    new StartStreamTranscriptionCommand({
      LanguageCode: 'en-US',
      MediaEncoding: 'pcm',
      MediaSampleRateHertz: sampleRate,
      AudioStream: audio.stream(),
    }),
  )
  for await (const event of answer.TranscriptResultStream ?? []) {
    for (const result of event.TranscriptEvent?.Transcript?.Results ?? []) {
      client.send(
        resultMessage({
          StartTime: result.StartTime ?? 0,
          EndTime: result.EndTime ?? 0,
          IsPartial: result.IsPartial ?? false,
          Alternatives: [{ Transcript: result.Alternatives?.[0]?.Transcript ?? '' }],
        }),
      )
    }
  }
}

/** From messages to the async generator that the SDK reads. */
class AudioQueue {
  #chunks: Buffer[] = []
  #isEnded = false
  #wake: (() => void) | null = null

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#wake?.()
  }

  end(): void {
    this.#isEnded = true
    this.#wake?.()
  }

  async *stream(): AsyncGenerator<AudioStream> {
    for (;;) {
      const chunks = this.#chunks
      this.#chunks = []
      for (const chunk of chunks) yield { AudioEvent: { AudioChunk: chunk } }
      if (this.#chunks.length > 0) continue
      if (this.#isEnded) return
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }
}
