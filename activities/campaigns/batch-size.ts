/** A batch holds the run's row and keeps the transaction horizon: it shall stay below 250 ms (design, section 4). */
const TARGET_MS = 150;
const SMALLEST = 500;
const LARGEST = 40_000;

/** The next batch's size after one of `size` took `elapsedMs`: towards the target, at most doubling. */
export function nextBatchSize(size: number, elapsedMs: number): number {
  const ideal = (size * TARGET_MS) / Math.max(1, elapsedMs);
  return Math.round(Math.min(LARGEST, Math.max(SMALLEST, Math.min(ideal, size * 2))));
}
