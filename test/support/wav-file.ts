/** Makes WAV files for tests, chunk by chunk, so that a test says exactly what is odd about one. */

export interface WavShape {
  readonly tag?: number
  readonly channels?: number
  readonly sampleRate?: number
  readonly bitsPerSample?: number
  readonly frameBytes?: number
  /** Real tag of an extensible format. */
  readonly subTag?: number
  readonly guidTail?: string
}

export function chunk(name: string, content: Uint8Array, sizeBytes = content.length): Buffer {
  const header = Buffer.alloc(8)
  header.write(name, 'latin1')
  header.writeUInt32LE(sizeBytes, 4)
  return Buffer.concat([header, content, Buffer.alloc(content.length % 2)])
}

export function formatChunk(shape: WavShape = {}): Buffer {
  const { channels = 1, sampleRate = 16_000, bitsPerSample = 16 } = shape
  const frameBytes = shape.frameBytes ?? channels * (bitsPerSample / 8)
  const content = Buffer.alloc(shape.subTag === undefined ? 16 : 40)
  content.writeUInt16LE(shape.subTag === undefined ? (shape.tag ?? 1) : 0xfffe, 0)
  content.writeUInt16LE(channels, 2)
  content.writeUInt32LE(sampleRate, 4)
  content.writeUInt32LE(sampleRate * frameBytes, 8)
  content.writeUInt16LE(frameBytes, 12)
  content.writeUInt16LE(bitsPerSample, 14)
  if (shape.subTag !== undefined) {
    content.writeUInt16LE(22, 16)
    content.writeUInt16LE(bitsPerSample, 18)
    content.writeUInt16LE(shape.subTag, 24)
    content.write(shape.guidTail ?? '000000001000800000aa00389b71', 26, 'hex')
  }
  return chunk('fmt ', content)
}

export function riff(chunks: readonly Uint8Array[], family = 'RIFF'): Buffer {
  const body = Buffer.concat(chunks)
  const header = Buffer.alloc(12)
  header.write(family, 'latin1')
  header.writeUInt32LE(body.length + 4, 4)
  header.write('WAVE', 8, 'latin1')
  return Buffer.concat([header, body])
}

export function wavFile(samples: Uint8Array, shape: WavShape = {}): Buffer {
  return riff([formatChunk(shape), chunk('data', samples)])
}
