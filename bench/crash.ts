import { accountOf, countsOf } from '../test/support/account';
import { SendingStack } from './sending-stack';

const DEFAULT_KILLS = 20;
/** Long enough that kills find rows in SENDING: about 12 s at this pace. */
const MESSAGES = 6_000;
const PACE_PER_SECOND = 500;
const WINDOW = 128;

/** What one kill left, counted at the sink by recipient token. */
interface KillResult {
  at: number;
  lost: number;
  duplicates: number;
  unconfirmed: number;
  /** Rows that were SENDING when the kill came. */
  inFlight: number;
}

/**
 * kill -9 of the delivery worker at a uniformly random moment while 5–95 % of a campaign are sent, again and again;
 * a campaign per kill. Lost = SENT rows whose token the sink never saw, plus rows in no end state when the run closes.
 */
export async function benchCrash(options: { kills?: number } = {}): Promise<void> {
  const kills = options.kills ?? DEFAULT_KILLS;
  const stack = await SendingStack.start(MESSAGES, {
    env: { DELIVERY_WINDOW: String(WINDOW), DELIVERY_LEASE_SECONDS: '3', WATCHDOG_SECONDS: '2' },
    sinkFlags: ['--pace', String(PACE_PER_SECOND)],
  });
  const results: KillResult[] = [];
  try {
    for (let n = 0; n < kills; n += 1) {
      const result = await killOnce(stack);
      results.push(result);
      console.log(
        `kill ${n + 1} at ${Math.round(result.at * 100)} %: lost ${result.lost}, duplicates ${result.duplicates}, ` +
          `unconfirmed ${result.unconfirmed}, in flight ${result.inFlight}`,
      );
    }
  } finally {
    await stack.stop();
  }
  report(results);
}

async function killOnce(stack: SendingStack): Promise<KillResult> {
  await stack.sink.reset();
  const at = 0.05 + Math.random() * 0.9;
  const runId = await stack.world.startCampaign();
  while ((await stack.world.sentSoFar(runId)) < MESSAGES * at) await pause(20);
  process.kill(stack.delivery.pid, 'SIGKILL');
  const inFlight = (await stack.world.counts(runId)).byStatus.SENDING ?? 0;
  await stack.restartDelivery();
  await stack.world.untilSent(runId, 120_000);
  const account = await accountOf(stack.world, runId, countsOf(await stack.sink.tokens()));
  return {
    at,
    lost: account.lost + (MESSAGES - account.rows),
    duplicates: account.duplicates,
    unconfirmed: account.unconfirmed,
    inFlight,
  };
}

function report(results: KillResult[]): void {
  const sum = (key: 'lost' | 'duplicates' | 'unconfirmed') => results.reduce((total, result) => total + result[key], 0);
  const lost = sum('lost');
  const duplicates = sum('duplicates');
  const most = Math.max(0, ...results.map((result) => result.unconfirmed));
  console.log(
    `${results.length} times kill -9 in the middle of a campaign: ${lost} lost, ${duplicates} sent twice, at most ${most} unconfirmed per kill.`,
  );
  console.log(
    JSON.stringify({
      name: 'crash',
      value: lost + duplicates,
      unit: 'messages lost or doubled',
      reference: 0,
      ratio: null,
      details: {
        met: lost === 0 && duplicates === 0 && most <= WINDOW,
        kills: results.length,
        killsThatFoundSending: results.filter((result) => result.inFlight > 0).length,
        lost,
        duplicates,
        unconfirmed: sum('unconfirmed'),
        mostUnconfirmedPerKill: most,
        window: WINDOW,
        messagesPerCampaign: MESSAGES,
        pacePerSecond: PACE_PER_SECOND,
      },
    }),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
