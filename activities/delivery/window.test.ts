import fc from 'fast-check';
import { Window } from './window';

/** Whether a promise is settled by now; its value, else null. */
async function now<T>(promise: Promise<T>): Promise<T | null> {
  return Promise.race([promise, new Promise<null>((resolve) => setImmediate(() => resolve(null)))]);
}

test('an eighth is kept for urgent lanes', async () => {
  const window = new Window(128);
  expect(await window.take(200, false)).toBe(112);
  expect(await window.take(32, true)).toBe(16);
  expect(window.used).toBe(128);
});

test('a waiter is served when half of what it wants is free, urgent ones first', async () => {
  const window = new Window(64);
  await window.take(56, false);
  await window.take(8, true);
  const bulk = window.take(32, false);
  const urgent = window.take(8, true);
  window.give(4);
  expect(await now(urgent)).toBe(4);
  window.give(4);
  expect(await now(bulk)).toBeNull();
  window.give(30);
  expect(await now(bulk)).toBe(26);
});

test('without its order everybody waits in the order of asking, and nothing is kept', async () => {
  const window = new Window(64, false);
  expect(await window.take(64, false)).toBe(64);
  const bulk = window.take(8, false);
  const urgent = window.take(8, true);
  window.give(8);
  expect(await now(bulk)).toBe(8);
  expect(await now(urgent)).toBeNull();
  window.give(8);
  expect(await now(urgent)).toBe(8);
});

test('never more than W are open, nobody gets nothing, and everybody is served once places come back', async () => {
  const requests = fc.array(fc.record({ wanted: fc.integer({ min: 1, max: 64 }), urgent: fc.boolean() }), {
    minLength: 1,
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 128 }), requests, async (size, list) => {
      const window = new Window(size);
      let served = 0;
      let most = 0;
      await Promise.all(
        list.map(async ({ wanted, urgent }) => {
          const places = await window.take(wanted, urgent);
          most = Math.max(most, window.used);
          expect(places).toBeGreaterThanOrEqual(1);
          expect(places).toBeLessThanOrEqual(wanted);
          await new Promise((resolve) => setImmediate(resolve));
          served += 1;
          window.give(places);
        }),
      );
      expect(served).toBe(list.length);
      expect(most).toBeLessThanOrEqual(size);
      expect(window.used).toBe(0);
    }),
  );
});
