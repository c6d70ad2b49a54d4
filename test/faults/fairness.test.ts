import type { CampaignWorld } from '../support/campaign-world';
import { until } from '../support/until';
import { FaultStack, LONG_LEASE } from './fault-stack';

const BIG = 3_000;
const SMALL = 10;
/** A minute for the big one, until the small one is done: what comes in between must not wait for its end. */
const PER_SECOND = 50;

let stack: FaultStack;
let big: CampaignWorld;
let small: CampaignWorld;

beforeAll(async () => {
  stack = await FaultStack.start(LONG_LEASE);
  big = await stack.world(BIG);
  small = await stack.world(SMALL);
  await stack.startDelivery();
});

afterAll(async () => {
  await stack.stop();
});

test('a small campaign of another workspace is done while a big one, begun before, still sends', async () => {
  await stack.sink.reset();
  await stack.sink.behave({ pacePerSecond: PER_SECOND });
  const bigRun = await big.startCampaign();
  await until('the big one is under way', async () => (await big.sentSoFar(bigRun)) >= PER_SECOND);
  const smallRun = await small.startCampaign();
  await until('the small one is sent', async () => (await small.sentSoFar(smallRun)) === SMALL);
  // Its ten messages had their turns among those of the big one, which have one connection pool to share with them.
  expect((await big.counts(bigRun)).byStatus.QUEUED ?? 0).toBeGreaterThan(0);
  await stack.sink.behave({ pacePerSecond: 0 });
  const ends = [await small.untilSent(smallRun), await big.untilSent(bigRun)];
  expect(ends.map((end) => end.byStatus)).toEqual([{ SENT: SMALL }, { SENT: BIG }]);
});
