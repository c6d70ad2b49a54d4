import fc from 'fast-check';
import { DatabaseClock } from './database-clock';

test('a late answer does not move a slot', () => {
  const clock = new DatabaseClock();
  clock.observe(1_000_000, 501);
  clock.observe(1_000_100, 690);
  expect(clock.local(1_000_200)).toBe(701);
});

test('an answer that came faster is believed, and one older than a minute no more', () => {
  const clock = new DatabaseClock();
  clock.observe(1_000_000, 510);
  clock.observe(1_000_100, 601);
  expect(clock.local(1_000_200)).toBe(701);
  // The clocks drift apart: by two milliseconds within the next minute and a bit.
  clock.observe(1_061_000, 61_503);
  expect(clock.local(1_061_000)).toBe(61_503);
});

test('a moment is never placed later than any answer of the last minute says', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(500), { minLength: 1, maxLength: 40 }), (delays) => {
      const clock = new DatabaseClock();
      delays.forEach((delay, n) => {
        clock.observe(5_000_000 + n * 100, n * 100 + delay);
        expect(clock.local(5_000_000)).toBe(Math.min(...delays.slice(0, n + 1)));
      });
    }),
  );
});

test('nothing is guessed before the first look', () => {
  expect(() => new DatabaseClock().local(0)).toThrow('never looked at');
});
