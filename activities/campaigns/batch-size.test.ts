import { nextBatchSize } from './batch-size';

describe('the size of materialise batches', () => {
  test('grows towards the target time, at most doubling', () => {
    expect(nextBatchSize(4_000, 10)).toBe(8_000);
    expect(nextBatchSize(4_000, 100)).toBe(6_000);
  });

  test('shrinks at once after a slow batch', () => {
    expect(nextBatchSize(20_000, 3_000)).toBe(1_000);
  });

  test('stays within its bounds', () => {
    expect(nextBatchSize(40_000, 1)).toBe(40_000);
    expect(nextBatchSize(500, 60_000)).toBe(500);
    expect(nextBatchSize(500, 0)).toBe(1_000);
  });
});
