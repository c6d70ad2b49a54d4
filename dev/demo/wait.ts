import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks again and again until there is an answer.
 * @throws Error that names what was waited for, when `limitMs` have passed
 */
export async function waitFor<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined>,
  everyMs = 150,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`Waited ${Math.round(limitMs / 1_000)} s in vain for ${what}.`);
    await sleep(everyMs);
  }
}
