import fc from 'fast-check';
import { CLAIM_SECONDS, groupSizeAt, paceOf, slotAt } from './pace';

test('a claim covers a quarter of a second, at least one message, never more than wanted', () => {
  expect([0.1, 1, 4, 8, 100, 10_000].map((rate) => groupSizeAt(rate, 32))).toEqual([1, 1, 1, 2, 25, 32]);
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 5_000, noNaN: true }), fc.integer({ min: 1, max: 64 }), (rate, wanted) => {
      const size = groupSizeAt(rate, wanted);
      expect(size).toBeGreaterThanOrEqual(1);
      expect(size).toBeLessThanOrEqual(wanted);
      if (size > 1) expect(size / rate).toBeLessThanOrEqual(CLAIM_SECONDS);
    }),
  );
});

test('messages of a claim begin evenly from the first slot on', () => {
  const pace = paceOf(500, 20);
  expect(pace).toEqual({ firstAt: 500, everyMs: 50 });
  expect(slotAt(pace, 3).from - slotAt(pace, 0).from).toBeCloseTo(150);
});

test('a slot is worth nothing after twice its length, but timers are forgiven', () => {
  const length = (everyMs: number) => {
    const { from, until } = slotAt({ firstAt: 0, everyMs }, 5);
    return until - from;
  };
  expect([1_000, 50, 20, 1].map(length)).toEqual([2_000, 100, 40, 40]);
});
