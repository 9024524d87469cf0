/** Rates, addresses, usage of principals, grants: what is counted, and that every table is bounded. */
import t from 'tap'
import type { RelayError } from '../../../src/errors.ts'
import { AddressLimits, networkOf } from '../../../src/server/auth/address-limits.ts'
import { FEATURES, NO_GRANTS_LIMIT, narrowGrants, toGrants } from '../../../src/server/auth/grants.ts'
import { RateLimit } from '../../../src/server/auth/rate-limit.ts'
import { UsageLedger } from '../../../src/server/auth/usage.ts'
import { STANDARD_PARAMETERS } from '../../../src/transcribe/parameter-table.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const codeOf = (action: () => unknown): string | null => {
  try {
    action()
    return null
  } catch (error) {
    return (error as RelayError).code
  }
}

t.test('who asks too often is served again at the rate, without a debt', async t => {
  const rate = new RateLimit(10, 0)
  for (let count = 0; count < 20; count += 1) t.equal(rate.take(0), 0)
  for (let count = 0; count < 1000; count += 1) t.equal(rate.take(0), 100)
  t.equal(rate.take(99), 1)
  t.equal(rate.take(100), 0)
  t.equal(rate.isFull(100), false)
  t.equal(rate.isFull(2100), true)
})

t.test('an IPv6 address counts by its /64, an IPv4 address by itself', async t => {
  t.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2')
  t.equal(networkOf('192.0.2.7'), '192.0.2.7')
  t.equal(networkOf(''), '')
})

t.test('addresses are limited one by one, and a flood of addresses does not grow the table', async t => {
  const clock = new ManualClock()
  const options = { handshakesPerSecond: 0, addressHandshakesPerSecond: 1, addressSessions: 1 }
  const limits = new AddressLimits(options, clock, 100)
  const leave = limits.enter('10.0.0.1')
  t.equal(
    codeOf(() => limits.enter('10.0.0.1')),
    'session_limit',
  )
  t.strictSame(
    [0, 0, 0].map(() => codeOf(() => limits.knock('10.0.0.2'))),
    [null, null, 'rate_limited'],
  )
  for (let index = 0; index < 10_000; index += 1) limits.knock(`10.1.${index >> 8}.${index & 255}`)
  t.ok(limits.size <= 101, `${limits.size} addresses`)
  t.equal(
    codeOf(() => limits.enter('10.0.0.1')),
    'session_limit',
    'who has a session is not forgotten',
  )
  leave()
  t.equal(
    codeOf(() => limits.enter('10.0.0.1')),
    null,
  )
})

t.test('a table full of addresses with sessions does not grow with every new one', async t => {
  const options = { handshakesPerSecond: 0, addressHandshakesPerSecond: 1, addressSessions: 1 }
  const limits = new AddressLimits(options, new ManualClock(), 100)
  for (let index = 0; index < 50; index += 1) limits.enter(`10.0.0.${index}`)
  for (let index = 0; index < 10_000; index += 1) limits.knock(`10.1.${index >> 8}.${index & 255}`)
  t.ok(limits.size <= 110, `${limits.size} addresses`)
  for (let index = 0; index < 50; index += 1) {
    t.equal(
      codeOf(() => limits.enter(`10.0.0.${index}`)),
      'session_limit',
    )
  }
})

t.test('another number of starts a minute is no new allowance', async t => {
  const clock = new ManualClock()
  const ledger = new UsageLedger(clock)
  const starts = [60, 59].map(startsPerMinute => ({ ...NO_GRANTS_LIMIT, startsPerMinute }))
  let started = 0
  for (let index = 0; index < 200; index += 1) {
    const grants = starts[index % 2] ?? NO_GRANTS_LIMIT
    if (codeOf(() => ledger.start('one', grants).release()) === null) started += 1
  }
  t.equal(started, 60, 'the larger of the two')
})

t.test('an address that floods does not use up what is for all', async t => {
  const clock = new ManualClock()
  const options = { handshakesPerSecond: 5, addressHandshakesPerSecond: 2, addressSessions: 0 }
  const limits = new AddressLimits(options, clock)
  for (let count = 0; count < 100; count += 1) codeOf(() => limits.knock('10.0.0.1'))
  t.equal(
    codeOf(() => limits.knock('10.0.0.2')),
    null,
  )
})

t.test('minutes run with every open session, and begin anew at midnight UTC', async t => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1, 23, 50))
  const ledger = new UsageLedger(clock)
  const grants = { ...NO_GRANTS_LIMIT, minutesPerDay: 5 }
  const one = ledger.start('key:a', grants)
  const two = ledger.start('key:a', grants)
  clock.advance(120_000)
  t.equal(one.isDayUsedUp(clock.monotonicMs()), false, 'four minutes')
  two.release()
  clock.advance(59_000)
  t.equal(one.isDayUsedUp(clock.monotonicMs()), false)
  clock.advance(1000)
  t.equal(one.isDayUsedUp(clock.monotonicMs()), true)
  one.release()
  t.equal(
    codeOf(() => ledger.start('key:a', grants)),
    'session_limit',
  )
  t.equal(
    codeOf(() => ledger.start('key:b', grants)),
    null,
    'another one has its own',
  )
  clock.advance(7 * 60_000)
  const next = ledger.start('key:a', grants)
  clock.advance(4 * 60_000)
  t.equal(next.isDayUsedUp(clock.monotonicMs()), false)
  clock.advance(60_000)
  t.equal(next.isDayUsedUp(clock.monotonicMs()), true)
})

t.test('a session over midnight counts for each of its days', async t => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1, 23, 58))
  const ledger = new UsageLedger(clock)
  const session = ledger.start('jwt:a', { ...NO_GRANTS_LIMIT, minutesPerDay: 5 })
  clock.advance(6 * 60_000)
  t.equal(session.isDayUsedUp(clock.monotonicMs()), false, 'four minutes of the new day')
  clock.advance(60_000)
  t.equal(session.isDayUsedUp(clock.monotonicMs()), true)
})

t.test('the table of principals is bounded; sessions and used minutes are kept longest', async t => {
  const clock = new ManualClock()
  const ledger = new UsageLedger(clock, 20)
  const grants = { ...NO_GRANTS_LIMIT, concurrentSessions: 1 }
  ledger.start('key:busy', grants)
  for (let index = 0; index < 1000; index += 1) {
    const session = ledger.start(`jwt:${index}`, grants)
    if (index % 2 === 0) clock.advance(1)
    session.release()
  }
  t.ok(ledger.size <= 21, `${ledger.size} principals`)
  t.equal(
    codeOf(() => ledger.start('key:busy', grants)),
    'session_limit',
  )
})

t.test('grants of two are what both allow', async t => {
  const one = toGrants({ concurrent_sessions: 5, languages: ['en-US', 'de-DE'], features: ['channels'] })
  const other = toGrants({ concurrent_sessions: 2, session_seconds: 60, languages: ['de-DE', 'fr-FR'] })
  t.match(narrowGrants(one, other), {
    concurrentSessions: 2,
    sessionSeconds: 60,
    languages: ['de-DE'],
    features: ['channels'],
    vocabularies: null,
  })
  t.same(narrowGrants(NO_GRANTS_LIMIT, other), other)
})

t.test('every parameter of the service is in a feature, or on purpose in none', async t => {
  const EVERYBODYS = [
    'language-code',
    'language-options',
    'preferred-language',
    'media-encoding',
    'sample-rate',
    'session-id',
    'vocabulary-filter-method',
    'number-of-channels',
    'enable-partial-results-stabilization',
    'partial-results-stability',
    'pii-entity-types',
    'transcript-format',
  ]
  const inFeatures = Object.values(FEATURES).flat()
  t.strictSame(new Set([...EVERYBODYS, ...inFeatures]), new Set(Object.keys(STANDARD_PARAMETERS)))
  t.equal(new Set(inFeatures).size, inFeatures.length)
})
