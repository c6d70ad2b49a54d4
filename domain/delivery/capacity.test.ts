import fc from 'fast-check';
import { firstRollingHour, inTakingOrder, windowOf } from './capacity';

test('a unit of a day belongs to the local date, one of a rolling day to its UTC hour', () => {
  const at = new Date('2026-04-23T22:30:00Z');
  expect(windowOf('provider-day', at, '2026-04-24')).toBe('2026-04-24');
  expect(windowOf('provider-hour', at, '2026-04-24')).toBe('2026-04-23T22');
});

test('whatever was taken in the last 24 hours lies in a bucket that counts', () => {
  const moment = fc.date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true });
  fc.assert(
    fc.property(moment, fc.nat(24 * 3_600_000), (now, agoMs) => {
      const taken = windowOf('provider-hour', new Date(now.getTime() - agoMs), '');
      expect(taken >= firstRollingHour(now) && taken <= windowOf('provider-hour', now, '')).toBe(true);
    }),
  );
});

test('the order of taking does not depend on the order of asking', () => {
  const day = { kind: 'provider-day', resourceId: 'b', limit: 1 } as const;
  const ip = { kind: 'ip-day', resourceId: 'z', limit: 1 } as const;
  const other = { kind: 'provider-day', resourceId: 'a', limit: 1 } as const;
  expect(inTakingOrder([day, ip, other])).toEqual([ip, other, day]);
  expect(inTakingOrder([other, day, ip])).toEqual([ip, other, day]);
});
