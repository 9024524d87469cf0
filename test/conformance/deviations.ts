/**
 * What is known about the report of the Autobahn test suite, each with its reason: the cases that are left out, and those
 * that do not end with OK. `docs/conformance.md` has the same list for readers.
 */
import type { Deviation } from './report.ts'

/** Version 0.8.2 has 517 cases, 24 are left out. */
export const EXPECTED_CASES = 493

/** 4 to 16 MiB in one message, whole and in fragments: `maxMessageBytes` is 1 MiB at most. */
export const EXCLUDED_CASES: readonly string[] = [
  '9.1.4',
  '9.1.5',
  '9.1.6',
  '9.2.4',
  '9.2.5',
  '9.2.6',
  '9.3.*',
  '9.4.*',
]

export const DEVIATIONS: readonly Deviation[] = [
  {
    cases: ['3.2', '3.3', '4.1.3', '4.1.4', '4.2.3', '4.2.4', '5.15'],
    behaviour: 'NON-STRICT',
    isConstant: true,
    reason:
      'a violation drops the connection, and with it the answer to a valid message that came in the same read',
  },
  {
    cases: ['3.4', '4.2.5'],
    behaviour: 'NON-STRICT',
    isConstant: false,
    reason: 'the same; these frames come byte by byte, so it depends on how much one read returns',
  },
  {
    cases: ['6.4.1', '6.4.2', '6.4.3', '6.4.4'],
    behaviour: 'NON-STRICT',
    isConstant: true,
    reason: 'UTF-8 is checked when the message is complete, not with each fragment or chop',
  },
  {
    cases: ['7.1.6', '7.13.1', '7.13.2'],
    behaviour: 'INFORMATIONAL',
    isConstant: true,
    reason: 'the RFC leaves it open; the suite only writes down what happened',
  },
  {
    cases: ['12.*', '13.*'],
    behaviour: 'UNIMPLEMENTED',
    isConstant: true,
    reason: 'permessage-deflate is declined: the listener has compression off, so nothing is ever inflated',
  },
]
