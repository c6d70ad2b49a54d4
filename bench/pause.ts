import { SendingStack } from './sending-stack';

const ROUNDS = 20;
const BUDGET_MS = 1_000;
const MESSAGES = 20_000;

/**
 * Pause at full speed, and at about one message a second: how long after the pause was answered the sink saw the last
 * message begin (MAIL FROM). Half of the rounds each.
 */
export async function benchPause(options: { rounds?: number } = {}): Promise<void> {
  const rounds = options.rounds ?? ROUNDS;
  const stack = await SendingStack.start(MESSAGES);
  const late: { pace: string; ms: number }[] = [];
  try {
    const runId = await stack.world.startCampaign();
    while ((await stack.world.sentSoFar(runId)) < 100) await wait(20);
    for (let n = 0; n < rounds; n += 1) {
      const slow = n % 2 === 1;
      await stack.sink.behave({ pacePerSecond: slow ? 1 : 0 });
      await wait(slow ? 2_500 : 300 + Math.random() * 400);
      const pausedAt = await stack.world.pause(runId);
      await wait(2_500);
      const { lastBegunAt } = await stack.sink.counts();
      late.push({ pace: slow ? '1/s' : 'full speed', ms: Math.max(0, Math.round(lastBegunAt - pausedAt)) });
      await stack.sink.behave({ pacePerSecond: 0 });
      const counts = await stack.world.counts(runId);
      if ((counts.byStatus.QUEUED ?? 0) === 0) throw new Error('the campaign ended before the rounds did');
      await stack.world.resume(runId);
      await wait(500);
    }
  } finally {
    await stack.stop();
  }
  const worst = Math.max(...late.map((round) => round.ms));
  console.log(`In ${rounds} pauses the last message was begun at most ${worst} ms after the pause was answered.`);
  console.log(
    JSON.stringify({
      name: 'pause',
      value: worst,
      unit: 'ms',
      reference: BUDGET_MS,
      ratio: Math.round((worst / BUDGET_MS) * 1000) / 1000,
      details: { met: worst <= BUDGET_MS, rounds: late },
    }),
  );
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
