/**
 * Messages with their bytes, made by the AWS SDKs' codec. The tests of encode and decode walk this table both ways,
 * and the tests of damage use its messages as victims.
 */
import type { HeaderValue } from '../../src/eventstream/index.ts'

export interface Vector {
  readonly name: string
  readonly headers: readonly (readonly [string, HeaderValue])[]
  readonly payload: Buffer
  readonly hex: string
}

export const AUDIO_EVENT_HEADERS = [
  [':content-type', text('application/octet-stream')],
  [':event-type', text('AudioEvent')],
  [':message-type', text('event')],
] as const

export const VECTORS: readonly Vector[] = [
  {
    name: 'AudioEvent with four bytes',
    headers: AUDIO_EVENT_HEADERS,
    payload: Buffer.from('0100ff7f', 'hex'),
    hex: '0000006c000000585c509ce30d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d0b3a6576656e742d7479706507000a417564696f4576656e740d3a6d6573736167652d747970650700056576656e740100ff7f08165021',
  },
  {
    name: 'empty AudioEvent, the end of the stream',
    headers: AUDIO_EVENT_HEADERS,
    payload: Buffer.alloc(0),
    hex: '0000006800000058a9d03a230d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d0b3a6576656e742d7479706507000a417564696f4576656e740d3a6d6573736167652d747970650700056576656e745cc64095',
  },
  {
    name: 'ConfigurationEvent',
    headers: [
      [':content-type', text('application/json')],
      [':event-type', text('ConfigurationEvent')],
      [':message-type', text('event')],
    ],
    payload: Buffer.from(
      '{"ChannelDefinitions":[{"ChannelId":0,"ParticipantRole":"AGENT"},{"ChannelId":1,"ParticipantRole":"CUSTOMER"}]}',
    ),
    hex: '000000d7000000583b47a5e60d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0b3a6576656e742d74797065070012436f6e66696775726174696f6e4576656e740d3a6d6573736167652d747970650700056576656e747b224368616e6e656c446566696e6974696f6e73223a5b7b224368616e6e656c4964223a302c225061727469636970616e74526f6c65223a224147454e54227d2c7b224368616e6e656c4964223a312c225061727469636970616e74526f6c65223a22435553544f4d4552227d5d7d3061186f',
  },
  {
    name: 'TranscriptEvent',
    headers: [
      [':message-type', text('event')],
      [':event-type', text('TranscriptEvent')],
      [':content-type', text('application/json')],
    ],
    payload: Buffer.from('{"Transcript":{"Results":[]}}'),
    hex: '0000008200000055b50599e00d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479706507000f5472616e7363726970744576656e740d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b225472616e736372697074223a7b22526573756c7473223a5b5d7d7dc4a72c92',
  },
  {
    name: 'BadRequestException',
    headers: [
      [':exception-type', text('BadRequestException')],
      [':content-type', text('application/json')],
      [':message-type', text('exception')],
    ],
    payload: Buffer.from('{"Message":"Example."}'),
    hex: '00000087000000615c51e2250f3a657863657074696f6e2d7479706507001342616452657175657374457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b224d657373616765223a224578616d706c652e227d59f5adf5',
  },
  {
    name: 'signed end message, with a timestamp and a byte array',
    headers: [
      [':date', { type: 'timestamp', value: BigInt(Date.parse('2025-01-02T03:04:05.678Z')) }],
      [
        ':chunk-signature',
        {
          type: 'byteArray',
          value: Buffer.from('ee6751e2385e54758d1f56abe68040f4420c094cea28d2589e0364b9555cc52e', 'hex'),
        },
      ],
    ],
    payload: Buffer.alloc(0),
    hex: '0000005300000043f5447a58053a64617465080000019424f8632e103a6368756e6b2d7369676e6174757265060020ee6751e2385e54758d1f56abe68040f4420c094cea28d2589e0364b9555cc52e2f70a862',
  },
]

function text(value: string): HeaderValue {
  return { type: 'string', value }
}
