import fc from 'fast-check';
import { localDate } from '../shared/zones';
import { type Demand, type PlannedMailbox, planDay } from './planner';
import { dueAfter, localDay } from './waiting';

const MINUTE = 60_000;
const BERLIN = 'Europe/Berlin';
const NINE_TO_FIVE = { start: '09:00', end: '17:00', timezone: BERLIN };

const mailbox = (id: string, more: Partial<PlannedMailbox> = {}): PlannedMailbox => ({
  id,
  quota: 30,
  taken: 0,
  slots: [],
  window: null,
  ...more,
});

function demand(n: number, more: Partial<Demand> = {}): Demand {
  return {
    enrolmentId: `e${String(n).padStart(5, '0')}`,
    contactId: `c${n}`,
    enrolledAt: new Date(Date.UTC(2026, 5, 1) + n * 1_000),
    earliest: new Date(0),
    window: NINE_TO_FIVE,
    zone: BERLIN,
    mailboxId: null,
    mailboxIds: ['a', 'b', 'c'],
    severalPerDay: false,
    contactSlots: [],
    immediate: false,
    ...more,
  };
}

const demands = (count: number, more: Partial<Demand> = {}) => Array.from({ length: count }, (_, n) => demand(n, more));
const day = (date: string, zone = BERLIN) => localDay(zone, new Date(`${date}T12:00:00Z`));
/** Local time of day, "HH:MM:SS". */
const clock = (at: Date, zone = BERLIN) => at.toLocaleTimeString('sv-SE', { timeZone: zone });

describe('a mailbox with a window of its own', () => {
  const afternoon = { start: '13:00', end: '15:00', timezone: BERLIN };

  test('sends in it, spread over it, whatever the sequence and the contact’s zone say', () => {
    const boxes = [mailbox('a', { quota: 4, window: afternoon }), mailbox('b', { quota: 4 })];
    const { slots, unplanned } = planDay(day('2026-06-15'), boxes, demands(8));
    expect(unplanned).toEqual([]);
    const of = (id: string) => slots.filter((slot) => slot.mailboxId === id).map((slot) => clock(slot.at));
    expect(of('a')).toEqual(['13:00:00', '13:30:00', '14:00:00', '14:30:00']);
    expect(of('b')).toEqual(['09:00:00', '11:00:00', '13:00:00', '15:00:00']);
    // After it, the slot is missed.
    expect(new Set(slots.filter((slot) => slot.mailboxId === 'a').map((slot) => clock(slot.until)))).toEqual(
      new Set(['15:00:00']),
    );
    const tokyo = demands(1, { mailboxIds: ['a'], window: { ...NINE_TO_FIVE, timezone: 'Asia/Tokyo' } });
    expect(planDay(day('2026-06-15'), boxes, tokyo).slots.map((slot) => clock(slot.at))).toEqual(['13:00:00']);
  });

  test.each([
    ['on a weekday it does not have', '2026-06-14', { ...afternoon, weekdays: [1, 2, 3, 4, 5] }],
    ['when it is skipped by the change of clocks', '2027-03-28', { start: '02:00', end: '03:00', timezone: BERLIN }],
  ])('sends nothing %s, and others do', (_what, date, window) => {
    const alone = planDay(day(date), [mailbox('a', { window })], demands(1));
    expect([alone.slots, alone.unplanned.map(({ reason }) => reason)]).toEqual([[], ['OUTSIDE_SEND_WINDOW']]);
    const both = planDay(day(date), [mailbox('a', { window }), mailbox('b')], demands(1));
    expect(both.slots.map((slot) => slot.mailboxId)).toEqual(['b']);
  });

  test('that is over, or full, says which', () => {
    const late = demands(1, { earliest: new Date('2026-06-15T15:00:00+02:00') });
    const { unplanned } = planDay(day('2026-06-15'), [mailbox('a', { window: afternoon })], late);
    expect(unplanned).toMatchObject([{ reason: 'OUTSIDE_SEND_WINDOW' }]);
    const full = planDay(day('2026-06-15'), [mailbox('a', { quota: 1, window: afternoon })], demands(2));
    expect(full.unplanned).toMatchObject([{ reason: 'NO_QUOTA' }]);
  });
});

describe('the examples of the specification', () => {
  test('window 9–17, 3 mailboxes of 30: 90 messages, per mailbox 09:00 + 16·k minutes', () => {
    const plan = planDay(day('2026-06-15'), [mailbox('a'), mailbox('b'), mailbox('c')], demands(120));
    expect(plan.slots).toHaveLength(90);
    expect(plan.unplanned).toHaveLength(30);
    expect(new Set(plan.unplanned.map(({ reason }) => reason))).toEqual(new Set(['NO_QUOTA']));
    const nine = new Date('2026-06-15T07:00:00Z').getTime();
    for (const id of ['a', 'b', 'c']) {
      const times = plan.slots.filter((slot) => slot.mailboxId === id).map((slot) => slot.at.getTime());
      expect(times).toEqual(Array.from({ length: 30 }, (_, k) => nine + k * 16 * MINUTE));
    }
    expect(clock(plan.slots.at(-1)?.at ?? new Date(0))).toBe('16:44:00');
  });

  test('window of 10 hours, 30 a day: every 20 minutes', () => {
    const window = { ...NINE_TO_FIVE, start: '08:00', end: '18:00' };
    const plan = planDay(day('2026-06-15'), [mailbox('a')], demands(30, { window, mailboxIds: ['a'] }));
    const times = plan.slots.map((slot) => slot.at.getTime());
    expect(times).toHaveLength(30);
    expect(times.slice(1).map((time, k) => time - (times[k] ?? 0))).toEqual(
      Array.from({ length: 29 }, () => 20 * MINUTE),
    );
    expect(clock(plan.slots[0]?.at ?? new Date(0))).toBe('08:00:00');
  });
});

test('older enrolments come first when demand exceeds quota, in whatever order they are given', () => {
  const given = [3, 0, 2, 1].map((n) => demand(n, { mailboxIds: ['a'] }));
  const plan = planDay(day('2026-06-15'), [mailbox('a', { quota: 2 })], given);
  expect(plan.slots.map((slot) => slot.enrolmentId)).toEqual(['e00000', 'e00001']);
  expect(plan.unplanned.map(({ enrolmentId }) => enrolmentId)).toEqual(['e00002', 'e00003']);
});

test('a contact keeps its mailbox, even if another one is free', () => {
  const full = mailbox('a', { taken: 30 });
  const bound = demand(0, { mailboxId: 'a' });
  expect(planDay(day('2026-06-15'), [full, mailbox('b')], [bound]).unplanned).toEqual([
    { enrolmentId: 'e00000', reason: 'NO_QUOTA' },
  ]);
  const plan = planDay(day('2026-06-15'), [mailbox('a'), mailbox('b')], [demand(0, { mailboxId: 'b' })]);
  expect(plan.slots.map((slot) => slot.mailboxId)).toEqual(['b']);
  expect(planDay(day('2026-06-15'), [mailbox('b')], [bound]).unplanned[0]?.reason).toBe('NO_MAILBOX');
});

test('a contact in several sequences gets one mail per local day, unless it may get several', () => {
  const two = [demand(0, { contactId: 'same' }), demand(1, { contactId: 'same' })];
  const boxes = [mailbox('a'), mailbox('b'), mailbox('c')];
  expect(planDay(day('2026-06-15'), boxes, two)).toMatchObject({
    slots: [{ enrolmentId: 'e00000' }],
    unplanned: [{ enrolmentId: 'e00001', reason: 'ONE_PER_DAY' }],
  });
  expect(
    planDay(
      day('2026-06-15'),
      boxes,
      two.map((one) => ({ ...one, severalPerDay: true })),
    ).slots,
  ).toHaveLength(2);
  const sentToday = demand(2, { contactSlots: [new Date('2026-06-15T05:00:00Z')] });
  expect(planDay(day('2026-06-15'), boxes, [sentToday]).unplanned[0]?.reason).toBe('ONE_PER_DAY');
  const sentYesterday = demand(3, { contactSlots: [new Date('2026-06-14T21:59:00Z')] });
  expect(planDay(day('2026-06-15'), boxes, [sentYesterday]).slots).toHaveLength(1);
});

test('the day is the contact’s: Auckland’s next morning lies in Berlin’s evening', () => {
  const zone = 'Pacific/Auckland';
  const window = { ...NINE_TO_FIVE, timezone: zone };
  // Auckland's 15 June, 09:00–17:00, is Berlin's 14 June 23:00 to 15 June 07:00.
  const sent = new Date('2026-06-14T21:30:00Z');
  const early = planDay(day('2026-06-15'), [mailbox('a')], [demand(0, { window, zone, contactSlots: [sent] })]);
  // The rest of Auckland's 15 June is taken; its 16th begins to be open at 23:00 in Berlin.
  expect(early.slots[0]?.at.toISOString()).toBe('2026-06-15T21:00:00.000Z');
  expect(early.slots[0]?.until.toISOString()).toBe('2026-06-15T22:00:00.000Z');
});

test('a mailbox that several zones share never sends closer than its stagger', () => {
  const zones = ['Europe/Berlin', 'Europe/London', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe'];
  const mixed = Array.from({ length: 60 }, (_, n) => {
    const zone = zones[n % zones.length] ?? BERLIN;
    return demand(n, { zone, window: { ...NINE_TO_FIVE, timezone: zone }, mailboxIds: ['a'] });
  });
  const plan = planDay(day('2026-06-15'), [mailbox('a', { quota: 48 })], mixed);
  const times = plan.slots.map((slot) => slot.at.getTime()).sort((a, b) => a - b);
  expect(times.length).toBeGreaterThan(40);
  for (const [n, time] of times.slice(1).entries()) expect(time - (times[n] ?? 0)).toBeGreaterThanOrEqual(10 * MINUTE);
});

describe('the first mail', () => {
  const now = new Date('2026-06-15T08:07:00Z');
  const first = demand(0, { earliest: now, immediate: true, mailboxIds: ['a'] });

  test('goes at once when the window is open and quota is left, whatever the stagger', () => {
    const slots = ['2026-06-15T08:04:00Z', '2026-06-15T08:20:00Z'].map((at) => new Date(at));
    const plan = planDay(day('2026-06-15'), [mailbox('a', { taken: 29, slots })], [first]);
    expect(plan.slots[0]?.at).toEqual(now);
  });

  test('keeps a minute’s distance', () => {
    const plan = planDay(day('2026-06-15'), [mailbox('a', { taken: 1, slots: [now] })], [first]);
    expect(plan.slots[0]?.at).toEqual(new Date(now.getTime() + MINUTE));
  });

  test('waits when all that is left is reserved', () => {
    const plan = planDay(day('2026-06-15'), [mailbox('a', { taken: 30 })], [first]);
    expect(plan.unplanned[0]?.reason).toBe('NO_QUOTA');
  });

  test('waits for the window', () => {
    const night = { ...first, earliest: new Date('2026-06-15T03:00:00Z') };
    expect(planDay(day('2026-06-15'), [mailbox('a')], [night]).slots[0]?.at).toEqual(new Date('2026-06-15T07:00:00Z'));
    const evening = { ...first, earliest: new Date('2026-06-15T15:00:00Z') };
    expect(planDay(day('2026-06-15'), [mailbox('a')], [evening]).unplanned[0]?.reason).toBe('OUTSIDE_SEND_WINDOW');
  });
});

describe('hard days', () => {
  const plan = (date: string, window: Demand['window']) =>
    planDay(day(date, window.timezone), [mailbox('a')], [demand(0, { window, zone: window.timezone })]);

  test('a window inside the skipped hour is empty on that day, and open on the next', () => {
    const window = { start: '02:10', end: '02:50', timezone: BERLIN };
    expect(plan('2026-03-29', window).unplanned[0]?.reason).toBe('OUTSIDE_SEND_WINDOW');
    expect(clock(plan('2026-03-30', window).slots[0]?.at ?? new Date(0))).toBe('02:10:00');
  });

  test('the stagger follows the true length of a window that the change of clocks shortens', () => {
    const window = { start: '00:00', end: '08:00', timezone: BERLIN };
    const wanted = demands(30, { window, mailboxIds: ['a'] });
    const { slots } = planDay(day('2026-03-29'), [mailbox('a')], wanted);
    expect(slots).toHaveLength(30);
    expect((slots[1]?.at.getTime() ?? 0) - (slots[0]?.at.getTime() ?? 0)).toBe(14 * MINUTE);
    expect(slots.every((slot) => slot.at < slot.until)).toBe(true);
  });

  test('weekdays are those of the window’s zone', () => {
    const window = { ...NINE_TO_FIVE, weekdays: [1, 2, 3, 4, 5] };
    expect(plan('2026-06-14', window).unplanned[0]?.reason).toBe('OUTSIDE_SEND_WINDOW');
    expect(plan('2026-06-15', window).slots).toHaveLength(1);
  });

  test('waits count calendar days', () => {
    const due = (zone: string, accepted: string, days: number) =>
      dueAfter(zone, new Date(accepted), days).toISOString();
    // Berlin's night of 23 hours.
    expect(due(BERLIN, '2026-03-28T22:30:00Z', 1)).toBe('2026-03-28T23:00:00.000Z');
    expect(due(BERLIN, '2026-03-28T22:30:00Z', 2)).toBe('2026-03-29T22:00:00.000Z');
    // Cairo has no midnight on 24 April 2026; Apia had no 30 December 2011.
    expect(due('Africa/Cairo', '2026-04-22T12:00:00Z', 2)).toBe('2026-04-23T22:00:00.000Z');
    expect(due('Pacific/Apia', '2011-12-29T12:00:00Z', 1)).toBe('2011-12-30T10:00:00.000Z');
    expect(due('Australia/Lord_Howe', '2026-04-04T12:00:00Z', 1)).toBe('2026-04-04T13:00:00.000Z');
    expect(due(BERLIN, '2026-06-15T12:00:00Z', 0)).toBe('2026-06-15T12:00:00.000Z');
  });
});

test('properties: quota, window, distance, one a day; and a second run over its own plan adds nothing', () => {
  const zones = ['Europe/Berlin', 'America/Santiago', 'Africa/Cairo', 'Asia/Kathmandu', 'Pacific/Auckland', 'UTC'];
  const anyDemand = fc.record({
    contact: fc.integer({ min: 0, max: 15 }),
    start: fc.integer({ min: 0, max: 20 }),
    hours: fc.integer({ min: 1, max: 3 }),
    bound: fc.option(fc.constantFrom('a', 'b')),
    immediate: fc.boolean(),
  });
  const dates = ['2026-03-29', '2026-04-24', '2026-06-15', '2026-09-06', '2026-10-25'];
  fc.assert(
    fc.property(
      fc.array(anyDemand, { maxLength: 40 }),
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom(...dates),
      (wanted, quota, date) => {
        const hour = (h: number) => `${String(h).padStart(2, '0')}:00`;
        const all = wanted.map((one, n) => {
          const zone = zones[one.contact % zones.length] ?? BERLIN;
          return demand(n, {
            contactId: `c${one.contact}`,
            zone,
            window: { start: hour(one.start), end: hour(one.start + one.hours), timezone: zone },
            mailboxId: one.bound,
            mailboxIds: ['a', 'b'],
            immediate: one.immediate,
          });
        });
        const range = day(date);
        const boxes = [mailbox('a', { quota }), mailbox('b', { quota })];
        const { slots, unplanned } = planDay(range, boxes, all);
        expect(slots.length + unplanned.length).toBe(all.length);
        const byId = new Map(all.map((one) => [one.enrolmentId, one]));
        const daysOfContacts = new Set<string>();
        for (const slot of slots) {
          const one = byId.get(slot.enrolmentId);
          if (!one) throw new Error('a slot for nobody');
          expect(slot.at >= range.from && slot.at < range.to && slot.at < slot.until).toBe(true);
          const local = clock(slot.at, one.zone);
          expect(local >= one.window.start && local < `${one.window.end}:00`).toBe(true);
          if (one.mailboxId) expect(slot.mailboxId).toBe(one.mailboxId);
          const contactDay = `${one.contactId} ${localDate(one.zone, slot.at)}`;
          expect(daysOfContacts.has(contactDay)).toBe(false);
          daysOfContacts.add(contactDay);
        }
        for (const box of boxes) {
          const times = slots.filter((slot) => slot.mailboxId === box.id).map((slot) => slot.at.getTime());
          expect(times.length).toBeLessThanOrEqual(quota);
          times.sort((x, y) => x - y);
          for (const [n, time] of times.slice(1).entries())
            expect(time - (times[n] ?? 0)).toBeGreaterThanOrEqual(MINUTE);
        }
        // What is planned is no demand any more; the rest finds what it found before.
        const planned = new Map(slots.map((slot) => [slot.enrolmentId, slot]));
        const rest = all
          .filter((one) => !planned.has(one.enrolmentId))
          .map((one) => ({
            ...one,
            contactSlots: slots
              .filter((slot) => byId.get(slot.enrolmentId)?.contactId === one.contactId)
              .map((s) => s.at),
          }));
        const after = boxes.map((box) => {
          const own = slots.filter((slot) => slot.mailboxId === box.id).map((slot) => slot.at);
          return { ...box, taken: own.length, slots: own };
        });
        expect(planDay(range, after, rest).slots).toEqual([]);
      },
    ),
    { numRuns: 300 },
  );
});
