import fc from 'fast-check';
import { FREE_RATE, slowDown, speedUp, type Throttle, throttledGroupSize } from './throttle';

const NOW = 5_000_000;
const at = (ms: number) => NOW + ms;

test('a throttling answer halves the rate and blocks for the time that the server names, else a minute', () => {
  expect(slowDown(null, NOW, null)).toEqual({ rate: 20, blockedUntil: at(60_000) });
  expect(slowDown({ rate: 20, blockedUntil: NOW }, NOW, 5_000)).toEqual({ rate: 10, blockedUntil: at(5_000) });
  expect(slowDown({ rate: 20, blockedUntil: NOW }, NOW, 0).blockedUntil).toEqual(at(1_000));
});

test('a shorter block never ends a longer one', () => {
  const long = slowDown(null, NOW, 600_000);
  expect(slowDown(long, at(1_000), 1_000).blockedUntil).toEqual(at(600_000));
});

test('acceptances raise the rate step by step until it is free', () => {
  const throttle = { rate: 10, blockedUntil: NOW };
  expect(speedUp(throttle, 10)).toEqual({ rate: 11, blockedUntil: NOW });
  expect(speedUp({ ...throttle, rate: FREE_RATE - 1 }, 9)).not.toBeNull();
  expect(speedUp({ ...throttle, rate: FREE_RATE - 1 }, 10)).toBeNull();
});

test('a group is nothing while blocked, at least one after, and never more than is wanted', () => {
  const throttle: Throttle = { rate: 2, blockedUntil: at(10) };
  expect(throttledGroupSize(throttle, NOW, 32)).toBe(0);
  expect(throttledGroupSize(throttle, at(10), 32)).toBe(1);
  expect(throttledGroupSize({ ...throttle, rate: 40 }, at(10), 32)).toBe(10);
  expect(throttledGroupSize(null, NOW, 32)).toBe(32);
});

test('after any sequence the rate stays above zero and below free, and the block only moves forward', () => {
  const steps = fc.array(
    fc.oneof(fc.record({ slow: fc.option(fc.nat(100_000)) }), fc.record({ accepted: fc.nat(500) })),
    {
      maxLength: 50,
    },
  );
  fc.assert(
    fc.property(steps, (list) => {
      let throttle: Throttle | null = null;
      for (const [index, step] of list.entries()) {
        const before: Throttle | null = throttle;
        if ('slow' in step) throttle = slowDown(throttle, at(index), step.slow);
        else if (throttle) throttle = speedUp(throttle, step.accepted);
        if (!throttle) continue;
        expect(throttle.rate).toBeGreaterThanOrEqual(1 / 60);
        expect(throttle.rate).toBeLessThan(FREE_RATE);
        if (before) expect(throttle.blockedUntil).toBeGreaterThanOrEqual(before.blockedUntil);
        expect(throttledGroupSize(throttle, throttle.blockedUntil, 32)).toBeGreaterThanOrEqual(1);
      }
    }),
  );
});
