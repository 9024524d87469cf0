/**
 * Dresses words up as a result of the service, by the parameters of the stream: channel, language, stability, speaker,
 * entities, redaction. What only finals carry at the real service only finals carry here.
 */
import { createHash } from 'node:crypto'
import type { StreamParameters } from '../../transcribe/parameters.ts'
import type { TimedWord } from '../recordings.ts'
import type { WireEntity, WireItem, WireResult } from '../wire-results.ts'

/** Words that the scripted service takes for personal data, compared without regard to case. */
export interface PersonalData {
  /** One of the service's entity types: `NAME`, `PHONE`, … */
  readonly type: string
  /** One word, or several with blanks. */
  readonly text: string
}

export interface Utterance {
  /** Distinguishes the results of one stream, from 0. */
  readonly index: number
  readonly startSeconds: number
  readonly endSeconds: number
  readonly isPartial: boolean
  readonly words: readonly HeardWord[]
}

export interface HeardWord extends TimedWord {
  /** What the recogniser thinks of it, 0–1; left out: a fixed number made of the word. */
  readonly confidence?: number
}

/** How many words at the end of a partial may still change, by `partial-results-stability`. */
const UNSTABLE_WORDS: Readonly<Record<string, number>> = { high: 1, medium: 2, low: 4 }
/** The service's own default is not documented. */
const DEFAULT_STABILITY = 'medium'
const ENTITY_CONFIDENCE = 0.95

export class ResultBuilder {
  readonly #parameters: StreamParameters
  readonly #streamId: string
  readonly #channelId: string | null
  readonly #personalData: readonly { readonly type: string; readonly words: readonly string[] }[]

  constructor(
    parameters: StreamParameters,
    streamId: string,
    channelId: string | null,
    personalData: readonly PersonalData[],
  ) {
    this.#parameters = parameters
    this.#streamId = streamId
    this.#channelId = channelId
    const types = new Set((parameters.wire['pii-entity-types'] ?? 'ALL').split(','))
    this.#personalData = parameters.findsPii
      ? personalData
          .filter(({ type }) => types.has('ALL') || types.has(type))
          .map(({ type, text }) => ({ type, words: text.split(/\s+/).map(normalize) }))
      : []
  }

  build(utterance: Utterance): WireResult {
    const { isPartial } = utterance
    const { words, entities } = isPartial
      ? { words: utterance.words, entities: [] }
      : this.#markEntities(utterance.words)
    const items = words.flatMap((word, index) => this.#items(word, isPartial, words.length - index))
    return {
      ResultId: this.#resultId(utterance.index),
      StartTime: milli(utterance.startSeconds),
      EndTime: milli(utterance.endSeconds),
      IsPartial: isPartial,
      Alternatives: [
        {
          Transcript: joinItems(items),
          Items: items,
          ...(entities.length > 0 ? { Entities: entities } : {}),
        },
      ],
      ...(this.#channelId === null ? {} : { ChannelId: this.#channelId }),
      ...this.#language(),
    }
  }

  #markEntities(words: readonly HeardWord[]): { words: readonly HeardWord[]; entities: WireEntity[] } {
    const isRedacted = this.#parameters.wire['content-redaction-type'] !== undefined
    const marked: HeardWord[] = []
    const entities: WireEntity[] = []
    for (let index = 0; index < words.length;) {
      const found = this.#personalData.find(entry =>
        entry.words.every((word, offset) => normalize(words[index + offset]?.content ?? '') === word),
      )
      const span = words.slice(index, index + (found?.words.length ?? 1))
      index += span.length
      const [first] = span
      const last = span.at(-1)
      if (found === undefined || first === undefined || last === undefined) {
        marked.push(...span)
        continue
      }
      const tag = `[${found.type}]`
      entities.push({
        StartTime: milli(first.startSeconds),
        EndTime: milli(last.endSeconds),
        Category: 'PII',
        Type: found.type,
        Content: isRedacted ? tag : span.map(({ content }) => splitPunctuation(content)[0]).join(' '),
        Confidence: ENTITY_CONFIDENCE,
      })
      if (isRedacted) marked.push({ ...first, endSeconds: last.endSeconds, content: tag })
      else marked.push(...span)
    }
    return { words: marked, entities }
  }

  /** `distance`: 1 for the last word. */
  #items(word: HeardWord, isPartial: boolean, distance: number): readonly WireItem[] {
    const { wire } = this.#parameters
    const unstableWords = UNSTABLE_WORDS[wire['partial-results-stability'] ?? DEFAULT_STABILITY] ?? 0
    const stable =
      wire['enable-partial-results-stabilization'] === 'true'
        ? { Stable: !isPartial || distance > unstableWords }
        : {}
    const [content, punctuation] = splitPunctuation(word.content)
    const spoken: WireItem = {
      StartTime: milli(word.startSeconds),
      EndTime: milli(word.endSeconds),
      Type: 'pronunciation',
      Content: content,
      VocabularyFilterMatch: false,
      ...stable,
      ...(isPartial ? {} : { Confidence: word.confidence ?? confidenceOf(content) }),
      ...(!isPartial && wire['show-speaker-label'] === 'true' ? { Speaker: '0' } : {}),
    }
    if (punctuation === '') return [spoken]
    const mark: WireItem = {
      StartTime: spoken.EndTime,
      EndTime: spoken.EndTime,
      Type: 'punctuation',
      Content: punctuation,
      VocabularyFilterMatch: false,
      ...stable,
    }
    return [spoken, mark]
  }

  /** The preferred language, or the first option, is always the one that is heard. */
  #language(): Pick<WireResult, 'LanguageCode' | 'LanguageIdentification'> {
    const { languageIdentification, languageOptions, wire } = this.#parameters
    if (languageIdentification === null) return {}
    const code = wire['preferred-language'] ?? languageOptions[0] ?? ''
    const others = languageOptions.filter(option => option !== code)
    return {
      LanguageCode: code,
      LanguageIdentification: [
        { LanguageCode: code, Score: 0.9 },
        ...others.map(option => ({ LanguageCode: option, Score: milli(0.1 / others.length) })),
      ],
    }
  }

  /** A UUID in form; one result keeps its id from the first partial to the final. */
  #resultId(index: number): string {
    const hex = createHash('sha256').update(`${this.#streamId} ${this.#channelId} ${index}`).digest('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  }
}

function joinItems(items: readonly WireItem[]): string {
  return items
    .map(({ Type, Content }, index) => (index === 0 || Type === 'punctuation' ? Content : ` ${Content}`))
    .join('')
}

function splitPunctuation(content: string): [word: string, punctuation: string] {
  const punctuation = /[.,?!;:]$/.exec(content)?.[0] ?? ''
  return content.length > 1 && punctuation !== '' ? [content.slice(0, -1), punctuation] : [content, '']
}

function normalize(content: string): string {
  return splitPunctuation(content)[0].toLowerCase()
}

/** 0.900–0.999, the same for the same word. */
function confidenceOf(content: string): number {
  let sum = 0
  for (const character of content) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 100
  return milli(0.9 + sum / 1000)
}

/** Three decimals, as the service writes times. */
function milli(value: number): number {
  return Math.round(value * 1000) / 1000
}
