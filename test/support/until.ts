/** Long enough for a machine that stands still now and then: nobody waits for it where all is well. */
export const LONGEST_MS = 90_000;

/**
 * Waits until `condition` holds, looking every few milliseconds. A look that fails (a part may be down) counts as no.
 * `longestMs` for what the product itself lets wait for minutes; the test's own limit must be longer still.
 * @throws Error that says what was waited for and, as its cause, what the last look ran into
 */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  longestMs = LONGEST_MS,
): Promise<void> {
  const end = performance.now() + longestMs;
  for (;;) {
    let cause: unknown;
    try {
      if (await condition()) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error(`waited ${longestMs / 1000} s in vain until ${what}`, { cause });
    await sleep(20);
  }
}

/**
 * Reads until the value is `good`. Returns the last one in any case, for an expectation that shows it.
 * @throws Error of the last read, if that failed
 */
export async function readUntil<T>(read: () => Promise<T> | T, good: (value: T) => boolean): Promise<T> {
  const end = performance.now() + LONGEST_MS;
  for (;;) {
    try {
      const value = await read();
      if (good(value) || performance.now() > end) return value;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await sleep(20);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
