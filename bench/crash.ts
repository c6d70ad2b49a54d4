import { accountOf, countsOf } from '../test/support/account';
import { SendingStack } from './sending-stack';

const DEFAULTS = {
  kills: 20,
  /** Kills in the middle of each campaign. */
  each: 1,
  /** Long enough that kills find rows in SENDING: about 12 s at this pace. */
  messages: 6_000,
  /** Messages a second that the server takes; 0 = as fast as it can. */
  pace: 500,
};
const WINDOW = 128;

/** What the kills of one campaign left, counted at the sink by recipient token. */
interface CampaignResult {
  lost: number;
  duplicates: number;
  unconfirmed: number;
  kills: { at: number; inFlight: number }[];
}

/**
 * kill -9 of the delivery worker at uniformly random moments while 5–95 % of a campaign are sent, again and again.
 * Lost = SENT rows whose token the sink never saw, plus rows in no end state when the run closes. At risk is what was
 * SENDING when a kill came: never more than W, and no more than that ends as UNCONFIRMED.
 */
export async function benchCrash(given: Partial<typeof DEFAULTS>): Promise<void> {
  const options = { ...DEFAULTS, ...given };
  const stack = await SendingStack.start(options.messages, {
    env: { DELIVERY_WINDOW: String(WINDOW), DELIVERY_LEASE_SECONDS: '3', WATCHDOG_SECONDS: '2' },
    sinkFlags: ['--pace', String(options.pace)],
  });
  const results: CampaignResult[] = [];
  try {
    for (let left = options.kills; left > 0; left -= options.each) {
      const result = await campaign(stack, options.messages, Math.min(left, options.each));
      results.push(result);
      console.log(
        `killed at ${result.kills.map(({ at }) => Math.round(at * 100)).join(', ')} %: lost ${result.lost}, ` +
          `duplicates ${result.duplicates}, unconfirmed ${result.unconfirmed} of ` +
          `${result.kills.map(({ inFlight }) => inFlight).join(' + ')} in flight`,
      );
    }
  } finally {
    await stack.stop();
  }
  report(results, options);
}

async function campaign(stack: SendingStack, messages: number, kills: number): Promise<CampaignResult> {
  await stack.sink.reset();
  const moments = Array.from({ length: kills }, () => 0.05 + Math.random() * 0.9).sort((left, right) => left - right);
  const runId = await stack.world.startCampaign();
  const done: CampaignResult['kills'] = [];
  for (const at of moments) {
    while ((await stack.world.sentSoFar(runId)) < messages * at) await pause(20);
    process.kill(stack.delivery.pid, 'SIGKILL');
    // A claim that was on its way is committed all the same; its lease lasts longer than this.
    await pause(300);
    done.push({ at, inFlight: (await stack.world.counts(runId)).byStatus.SENDING ?? 0 });
    await stack.restartDelivery();
  }
  await stack.world.untilSent(runId, 300_000);
  const account = await accountOf(stack.world, runId, countsOf(await stack.sink.tokens()));
  return {
    lost: account.lost + (messages - account.rows),
    duplicates: account.duplicates,
    unconfirmed: account.unconfirmed,
    kills: done,
  };
}

function report(results: CampaignResult[], options: typeof DEFAULTS): void {
  const sum = (key: 'lost' | 'duplicates' | 'unconfirmed') => results.reduce((total, result) => total + result[key], 0);
  const lost = sum('lost');
  const duplicates = sum('duplicates');
  const kills = results.flatMap((result) => result.kills);
  const most = Math.max(0, ...kills.map(({ inFlight }) => inFlight));
  const atRisk = results.every(
    ({ unconfirmed, kills: own }) => unconfirmed <= own.reduce((total, { inFlight }) => total + inFlight, 0),
  );
  console.log(
    `${kills.length} times kill -9 in the middle of ${results.length} campaigns of ${options.messages}: ${lost} lost, ` +
      `${duplicates} sent twice, ${sum('unconfirmed')} unconfirmed, at most ${most} in flight at a kill.`,
  );
  console.log(
    JSON.stringify({
      name: 'crash',
      value: lost + duplicates,
      unit: 'messages lost or doubled',
      reference: 0,
      ratio: null,
      details: {
        met: lost === 0 && duplicates === 0 && most <= WINDOW && atRisk,
        kills: kills.length,
        killsThatFoundSending: kills.filter(({ inFlight }) => inFlight > 0).length,
        lost,
        duplicates,
        unconfirmed: sum('unconfirmed'),
        mostInFlightAtAKill: most,
        window: WINDOW,
        options,
      },
    }),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
