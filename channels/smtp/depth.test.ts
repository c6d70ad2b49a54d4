import { Depth } from './depth';

test('begins with one and doubles while answers come as quickly as the quickest, up to its limit', () => {
  const depth = new Depth(16);
  const seen = [depth.value];
  for (let n = 0; n < 6; n += 1) {
    depth.answered(50, true);
    seen.push(depth.value);
  }
  expect(seen).toEqual([1, 2, 4, 8, 16, 16, 16]);
});

test('does not grow where there is nothing more to send', () => {
  const depth = new Depth(16);
  depth.answered(50, false);
  expect(depth.value).toBe(1);
});

test('gives way step by step where messages queue before the server, and comes back in single steps', () => {
  const depth = new Depth(16);
  for (let n = 0; n < 4; n += 1) depth.answered(50, true);
  depth.answered(125, true);
  expect(depth.value).toBe(16);
  depth.answered(126, true);
  depth.answered(900, true);
  expect(depth.value).toBe(14);
  depth.answered(60, true);
  expect(depth.value).toBe(15);
  for (let n = 0; n < 40; n += 1) depth.answered(900, true);
  expect(depth.value).toBe(1);
});

test('a server that takes its time with each message is given one at a time, and no urgent mail waits behind others', () => {
  const depth = new Depth(16);
  // 200 ms a message, one after the other: what is written k-th behind others is answered after k times 200 ms.
  for (let n = 0; n < 50; n += 1) depth.answered(200 * depth.value, true);
  expect(depth.value).toBeLessThanOrEqual(2);
});
