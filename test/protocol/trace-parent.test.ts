import t from 'tap'
import { readTraceParent } from '../../src/protocol/trace-parent.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

t.test('a trace parent is read as the specification says, and left out where it is not valid', async t => {
  const parent = { traceId: TRACE, spanId: SPAN, isSampled: true }
  for (const [header, expected] of [
    [`00-${TRACE}-${SPAN}-01`, parent],
    [`00-${TRACE}-${SPAN}-ff`, parent],
    [`00-${TRACE}-${SPAN}-00`, { ...parent, isSampled: false }],
    [`00-${TRACE}-${SPAN}-02`, { ...parent, isSampled: false }],
    // Of a later version, what is known of it counts.
    [`01-${TRACE}-${SPAN}-01`, parent],
    [`cc-${TRACE}-${SPAN}-01-what-comes`, parent],
    [`cc-${TRACE}-${SPAN}-01.what-comes`, null],
    [`00-${TRACE}-${SPAN}-01-what-comes`, null],
    [`ff-${TRACE}-${SPAN}-01`, null],
    [`00-${'0'.repeat(32)}-${SPAN}-01`, null],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, null],
    [`00-${TRACE.toUpperCase()}-${SPAN}-01`, null],
    [`00-${TRACE.slice(1)}-${SPAN}-01`, null],
    [`00-${TRACE}-${SPAN}-1`, null],
    // Twice in a request, as the server joins them.
    [`00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`, null],
    [` 00-${TRACE}-${SPAN}-01`, null],
    ['', null],
    [undefined, null],
  ] as const) {
    t.strictSame(readTraceParent(header), expected, header ?? 'none')
  }
})
