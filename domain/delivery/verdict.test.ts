import fc from 'fast-check';
import type { Facts } from './facts';
import type { MessageClass } from './ledger';
import { CHECKS, judge, judgeEach, OPT_IN_MAILS_PER_DAY } from './verdict';

const NOW = new Date('2026-03-01T12:00:00Z');
const HOUR = 3_600_000;
const ago = (hours: number) => new Date(NOW.getTime() - hours * HOUR);

const factsOf = fc.record<Facts>({
  messageClass: fc.constantFrom<MessageClass>('bulk', 'journey', 'transactional', 'opt-in', 'test'),
  source: fc.record({
    stream: fc.constantFrom('ACTIVE', 'ACTIVE', 'WAITING', 'PAUSED', 'CANCELLED'),
    window: fc.constantFrom(
      null,
      { start: '09:00', end: '17:00', timezone: 'UTC' },
      { start: '15:00', end: '17:00', timezone: 'UTC' },
    ),
    open: fc.boolean(),
  }),
  expiresAt: fc.constantFrom(null, ago(1), ago(-1)),
  approval: fc.constantFrom('not-needed', 'valid', 'void'),
  contact: fc.option(
    fc.record({ erased: fc.boolean(), status: fc.constantFrom('ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED') }),
  ),
  suppression: fc.option(
    fc.record({
      scope: fc.constantFrom('address', 'domain'),
      reason: fc.constantFrom('BOUNCE', 'COMPLAINT', 'MANUAL'),
    }),
  ),
  consent: fc.constantFrom(null, 'granted', 'denied', 'pending'),
  categorySubscribed: fc.boolean(),
  frequency: fc.option(
    fc.record({
      limit: fc.constantFrom('DAILY', 'WEEKLY', 'MONTHLY'),
      zone: fc.constantFrom('UTC', 'Pacific/Apia'),
      lastAt: fc.constantFrom(null, ago(1), ago(40), ago(1_000)),
    }),
  ),
  slotUntil: fc.constantFrom(null, ago(1), ago(-1)),
  optInMails: fc
    .array(fc.integer({ min: 0, max: 30 }), { maxLength: 6 })
    .map((hours) => hours.sort((a, b) => b - a).map(ago)),
});

test('the first check that speaks decides, and the explanation lists them all in order', () => {
  fc.assert(
    fc.property(factsOf, (facts) => {
      const each = judgeEach(facts, NOW);
      expect(each.map(({ check }) => check)).toEqual(CHECKS.map(({ name }) => name));
      const first = each.find(({ verdict }) => verdict.kind !== 'OK');
      expect(judge(facts, NOW)).toEqual(first?.verdict ?? { kind: 'OK' });
    }),
  );
});

test('marketing goes to nobody without a granted consent, and nothing to a suppressed or erased one', () => {
  fc.assert(
    fc.property(factsOf, (facts) => {
      if (judge(facts, NOW).kind !== 'OK') return;
      expect(facts.suppression).toBeNull();
      expect(facts.contact?.erased ?? false).toBe(false);
      expect(['BOUNCED', 'COMPLAINED']).not.toContain(facts.contact?.status);
      if (facts.messageClass === 'bulk' || facts.messageClass === 'journey') {
        expect(facts).toMatchObject({ consent: 'granted', categorySubscribed: true });
        expect(facts.contact?.status).not.toBe('UNSUBSCRIBED');
        expect(facts.approval).not.toBe('void');
      }
      if (facts.messageClass === 'transactional') expect(facts.consent).not.toBe('denied');
    }),
    { numRuns: 2_000 },
  );
});

test('what waits waits for a moment to come, or for somebody', () => {
  fc.assert(
    fc.property(factsOf, (facts) => {
      const verdict = judge(facts, NOW);
      if (verdict.kind !== 'DEFER') return;
      if (verdict.until === null) expect(verdict.reason).toMatch(/^SOURCE_/);
      else expect(verdict.until.getTime()).toBeGreaterThan(NOW.getTime());
    }),
    { numRuns: 2_000 },
  );
});

test('an opt-in mail waits until fewer than three went in the last 24 hours', () => {
  const facts: Facts = {
    messageClass: 'opt-in',
    source: { stream: 'ACTIVE', window: null, open: true },
    expiresAt: null,
    approval: 'not-needed',
    contact: { erased: false, status: 'ACTIVE' },
    suppression: null,
    consent: 'pending',
    categorySubscribed: true,
    frequency: null,
    slotUntil: null,
    optInMails: [ago(23), ago(5), ago(1)],
  };
  expect(facts.optInMails).toHaveLength(OPT_IN_MAILS_PER_DAY);
  const verdict = judge(facts, NOW);
  expect(verdict).toEqual({ kind: 'DEFER', reason: 'OPT_IN_LIMIT', until: ago(-1) });
  expect(judge(facts, ago(-1))).toEqual({ kind: 'OK' });
  // Of four, the second oldest keeps it waiting: when it leaves the 24 hours, two are left.
  expect(judge({ ...facts, optInMails: [ago(23), ago(22), ago(5), ago(1)] }, NOW)).toMatchObject({ until: ago(-2) });
});
