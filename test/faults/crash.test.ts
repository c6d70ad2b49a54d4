import type { CampaignWorld } from '../support/campaign-world';
import { accountOf, countsOf } from './account';
import { Conservation } from './conservation';
import { FaultStack, until, WINDOW } from './fault-stack';

const MESSAGES = 3_000;
const PER_SECOND = 200;

let stack: FaultStack;
let world: CampaignWorld;
let conservation: Conservation;

beforeAll(async () => {
  stack = await FaultStack.start();
  world = await stack.world(MESSAGES);
  conservation = new Conservation(stack.database.workerUrl);
}, 120_000);

afterAll(() => stack.stop(), 60_000);

/** Moments of `count` faults: shares of the campaign, uniformly random between 5 and 95 %. */
function moments(count: number): number[] {
  return Array.from({ length: count }, () => 0.05 + 0.9 * Math.random()).sort((a, b) => a - b);
}

async function accepted(): Promise<number> {
  return (await stack.sink.counts()).tokens;
}

async function beginCampaign(): Promise<string> {
  await stack.sink.reset();
  await stack.sink.behave({ pacePerSecond: PER_SECOND });
  return world.startCampaign();
}

test('kill -9 of the delivery worker, five times in one campaign: nothing lost, nothing twice', async () => {
  let worker = await stack.startDelivery();
  const runId = await beginCampaign();
  for (const moment of moments(5)) {
    await until(`${Math.round(moment * 100)} % sent`, async () => (await accepted()) >= moment * MESSAGES);
    await worker.process.kill();
    stack.delivery = [];
    const before = (await world.counts(runId)).byStatus;
    // What the dead process had open is all that can become unknown.
    expect(before.SENDING ?? 0).toBeLessThanOrEqual(WINDOW);
    worker = await stack.startDelivery();
  }
  await world.untilSent(runId, 60_000);
  const account = await accountOf(world, runId, countsOf(await stack.sink.tokens()));
  expect(account).toMatchObject({ rows: MESSAGES, duplicates: 0, lost: 0, denied: 0 });
  expect(account.unconfirmed).toBeLessThanOrEqual(5 * WINDOW);
  await stack.stopDelivery();
}, 150_000);

test('the ledger added up at every moment', async () => {
  const { polls, imbalances } = await conservation.stop();
  expect(imbalances).toEqual([]);
  expect(polls).toBeGreaterThan(100);
});
