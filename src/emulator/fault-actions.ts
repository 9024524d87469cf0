/** Does what a fault of a running stream says. Which fault, and when, was decided elsewhere. */
import {
  badMessageCrc,
  badPreludeCrc,
  compressedFrame,
  fillerResult,
  fragmentFlood,
  garbage,
  truncatedMessage,
  unknownEventType,
  unknownMessageType,
} from './broken-messages.ts'
import { DEFAULT_EXCEPTION_MESSAGES, type StreamException } from './exceptions.ts'
import type { TimedFault } from './fault-script.ts'
import { transcriptEvent, unmodelledError } from './messages.ts'
import type { StreamSocket } from './stream-socket.ts'

/** What the stream has to do afterwards: nothing, raise an exception, or know that the fault ended it. */
export type FaultOutcome =
  | { readonly kind: 'goes_on' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'exception'; readonly exception: StreamException; readonly closeCode: number }

const GOES_ON: FaultOutcome = { kind: 'goes_on' }
const ENDED: FaultOutcome = { kind: 'ended' }
const NORMAL_CLOSE = 1000

/** `mute` and `stopReading` change the stream itself, so they are done there. */
export function performFault(
  fault: Exclude<TimedFault, { do: 'mute' | 'stopReading' }>,
  socket: StreamSocket,
): FaultOutcome {
  switch (fault.do) {
    case 'exception': {
      const message = fault.message ?? DEFAULT_EXCEPTION_MESSAGES[fault.name] ?? 'An error occurred.'
      return { kind: 'exception', exception: { name: fault.name, message }, closeCode: fault.closeCode }
    }
    case 'errorMessage':
      socket.sendBinary(unmodelledError(fault.code, fault.message))
      socket.close(NORMAL_CLOSE, '')
      return ENDED
    case 'close':
      socket.close(fault.code, fault.reason)
      return ENDED
    case 'reset':
      socket.reset()
      return ENDED
    case 'fin':
      socket.fin()
      return ENDED
    case 'flood':
      for (let number = 1; number <= fault.results; number++) {
        socket.sendBinary(transcriptEvent([fillerResult(number)]))
      }
      return GOES_ON
    case 'textFrame':
      socket.sendText(fault.text)
      return GOES_ON
    case 'compressedFrame':
      socket.writeRaw(compressedFrame())
      return GOES_ON
    case 'fragments':
      socket.writeRaw(fragmentFlood(fault.count))
      return GOES_ON
    case 'oversizeFrame':
      socket.sendBinary(Buffer.alloc(fault.bytes))
      return GOES_ON
    case 'garbage':
      socket.sendBinary(garbage(fault.bytes))
      return GOES_ON
    default:
      socket.sendBinary(BROKEN_MESSAGES[fault.do]())
      return GOES_ON
  }
}

const BROKEN_MESSAGES = {
  badPreludeCrc,
  badMessageCrc,
  truncatedMessage,
  unknownEventType,
  unknownMessageType,
} satisfies Record<string, () => Buffer>
