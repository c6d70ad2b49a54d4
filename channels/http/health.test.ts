import type { SendOutcome } from '../connector';
import { Health } from './health';

const accepted: SendOutcome = { kind: 'accepted', providerMessageId: null, reply: '' };
const unknown: SendOutcome = { kind: 'unknown', cause: 'HTTP 500' };
const throttled = (retryAfterMs: number | null): SendOutcome => ({
  kind: 'throttled',
  retryAfterMs,
  code: 429,
  enhanced: null,
  reply: '',
});

test('pauses double up to the maximum, and end with the first answer', () => {
  const health = new Health(1_000, 5_000);
  const pauses: number[] = [];
  let now = 0;
  for (let count = 0; count < 5; count++) {
    health.observe(unknown, now);
    pauses.push(health.wait(now));
    now += health.wait(now);
  }
  expect(pauses).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
  expect(health.ill).toBe(true);
  health.observe(accepted, now);
  expect([health.ill, health.wait(now), health.refusal(now)]).toEqual([false, 0, null]);
});

test('failures at once are one failure', () => {
  const health = new Health(1_000, 60_000);
  for (let count = 0; count < 10; count++) health.observe(unknown, 5);
  expect(health.wait(5)).toBe(1_000);
});

test('what waits hears why the provider does not work', () => {
  const health = new Health(1_000, 60_000);
  health.observe({ kind: 'unavailable', cause: 'authentication', reply: 'no', retryAfterMs: null }, 0);
  expect(health.refusal(400)).toEqual({ kind: 'unavailable', cause: 'authentication', reply: 'no', retryAfterMs: 600 });
  expect(health.refusal(1_000)).toBeNull();
});

test('throttling is no illness, lasts as long as the provider asks (a minute at most), and outlives an acceptance', () => {
  const health = new Health(1_000, 60_000);
  health.observe(throttled(null), 0);
  expect([health.wait(0), health.ill, health.refusal(0)]).toEqual([1_000, false, 'wait']);
  health.observe(throttled(3_600_000), 0);
  health.observe(accepted, 10);
  expect(health.wait(10)).toBe(59_990);
});

test('one that asks to come again later is believed', () => {
  const health = new Health(1_000, 60_000);
  health.observe({ kind: 'unavailable', cause: 'protocol', reply: 'HTTP 503', retryAfterMs: 20_000 }, 0);
  expect(health.wait(0)).toBe(20_000);
});
