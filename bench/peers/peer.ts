/** What every relay of the comparison is given and gives back, ours included. */

export interface PeerOptions {
  /** `wss://host:port` of the service's WebSocket side. */
  readonly webSocketUrl: string
  /** `https://host:port` of its HTTP/2 side. */
  readonly http2Url: string
  readonly region: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Most sessions at once that the bench will open. */
  readonly maxSessions: number
}

/** A relay that listens for clients at `ws://127.0.0.1:port/v1/stream`. */
export interface Peer {
  readonly port: number
  close(): Promise<void>
}

export type StartPeer = (options: PeerOptions) => Promise<Peer>

/** The part of a result that clients get, from the JSON of the service. */
export interface ServiceEvent {
  readonly Transcript?: { readonly Results?: readonly ServiceResult[] }
}

export interface ServiceResult {
  readonly StartTime?: number
  readonly EndTime?: number
  readonly IsPartial?: boolean
  readonly Alternatives?: readonly { readonly Transcript?: string }[]
}

/** A result as the text message that all relays of the comparison send. */
export function resultMessage(result: ServiceResult): string {
  return JSON.stringify({
    type: 'Transcript',
    is_final: result.IsPartial === false,
    text: result.Alternatives?.[0]?.Transcript ?? '',
    start: result.StartTime ?? 0,
    end: result.EndTime ?? 0,
  })
}

/** Whether a text message says that the audio is over. */
export function isCloseStream(text: string): boolean {
  return text.includes('CloseStream')
}
