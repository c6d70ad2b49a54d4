import fc from 'fast-check';
import { FairQueue } from './fair-queue';

test('lanes take turns', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) {
    queue.push(item.slice(0, 1), item);
  }
  expect(queue.drain()).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3']);
  expect(queue.size).toBe(0);
  expect(queue.shift()).toBeUndefined();
});

test('nothing is lost, each lane keeps its order, and a waiting lane waits at most one round', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.constantFrom('a', 'b', 'c')), { maxLength: 300 }), (steps) => {
      const queue = new FairQueue<{ lane: string; n: number }>();
      const waiting = new Map<string, number[]>();
      const passedOver = new Map<string, number>();
      const take = (): void => {
        const item = queue.shift();
        if (item === undefined) {
          expect([...waiting.values()].every((numbers) => numbers.length === 0)).toBe(true);
          return;
        }
        expect(waiting.get(item.lane)?.shift()).toBe(item.n);
        for (const [lane, numbers] of waiting) {
          passedOver.set(lane, lane === item.lane || numbers.length === 0 ? 0 : (passedOver.get(lane) ?? 0) + 1);
          expect(passedOver.get(lane)).toBeLessThanOrEqual(2);
        }
      };
      steps.forEach((lane, n) => {
        if (lane === null) {
          take();
        } else {
          queue.push(lane, { lane, n });
          waiting.set(lane, [...(waiting.get(lane) ?? []), n]);
        }
      });
      while (queue.size > 0) {
        take();
      }
      take();
    }),
  );
});

test('a lane that always has one more item does not come before one that waits', () => {
  const queue = new FairQueue<string>();
  for (const item of ['c1', 'a1', 'c2']) queue.push(item.slice(0, 1), item);
  expect([queue.shift(), queue.shift()]).toEqual(['c1', 'a1']);
  queue.push('a', 'a2');
  queue.push('b', 'b1');
  expect(queue.shift()).toBe('c2');
  queue.push('c', 'c3');
  expect(queue.drain()).toEqual(['a2', 'b1', 'c3']);
});

test('what is taken out is gone, the rest keeps its order', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) {
    queue.push(item.slice(0, 1), item);
  }
  expect(queue.shift()).toBe('a1');
  expect(queue.remove((item) => item === 'a2' || item.startsWith('c')).sort()).toEqual(['a2', 'c1']);
  expect(queue.size).toBe(3);
  expect(queue.remove(() => false)).toEqual([]);
  expect(queue.drain()).toEqual(['b1', 'a3', 'b2']);
});

test('a long lane gives its memory back', () => {
  const queue = new FairQueue<number>();
  for (let n = 0; n < 5000; n++) {
    queue.push('a', n);
  }
  expect(queue.drain()).toEqual(Array.from({ length: 5000 }, (_, n) => n));
});
