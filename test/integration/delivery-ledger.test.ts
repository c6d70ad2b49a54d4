import fc from 'fast-check';
import { auditCapacity } from '../../db/delivery/capacity';
import { type OperatorOutcome, settleByOperator } from '../../db/delivery/operator';
import { type RowSettlement, settleRows } from '../../db/delivery/settle';
import { type LateTruth, settleLate } from '../../db/delivery/settle-late';
import { cancelLeftovers } from '../../db/delivery/watchdog';
import {
  type CapacityLimit,
  type DeliveryStatus,
  MAX_ATTEMPTS,
  type MessageClass,
  type SendOutcome,
  settle,
} from '../../domain/delivery';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { claimRows, loseClaim, type TestClaim } from '../support/deliveries';
import { exampleWorld, type World } from '../support/examples';

/**
 * Random sequences of everything that changes the ledger, against a model of the state machine (design, section 4). After
 * each step the rows are as the model says, the counters are the rows, and SENT is what was accepted.
 */
let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'delivery-ledger' });
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const ROWS = 6;
const LEASE = 30_000;
const OUTCOMES: Record<string, SendOutcome> = {
  accepted: { kind: 'accepted', providerMessageId: null, reply: '' },
  transient: { kind: 'transient', code: 450, enhanced: null, reply: '' },
  permanent: {
    kind: 'permanent',
    scope: 'address',
    suppress: false,
    otherRoute: false,
    code: 550,
    enhanced: null,
    reply: '',
  },
  returned: { kind: 'not-sent', cause: 'stopped', inData: false },
  dropped: { kind: 'not-sent', cause: 'dropped-in-data', inData: true },
  unknown: { kind: 'unknown', cause: '' },
};
const outcome = fc.constantFrom(...Object.keys(OUTCOMES), 'accepted', 'unknown');
const row = fc.nat(ROWS - 1);
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('claim' as const), rows: fc.uniqueArray(row, { minLength: 1 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      claim: fc.nat(9),
      with: fc.array(outcome, { minLength: ROWS, maxLength: ROWS }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lose' as const), claim: fc.nat(9) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('late' as const),
      claim: fc.nat(9),
      row: fc.nat(ROWS - 1),
      outcome: fc.constantFrom('SENT' as const, 'FAILED' as const, 'QUEUED' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('operator' as const),
      rows: fc.uniqueArray(row, { minLength: 1 }),
      outcome: fc.constantFrom<OperatorOutcome>('SENT', 'NOT_SENT', 'FAILED'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('stream' as const),
      state: fc.constantFrom('ACTIVE' as const, 'PAUSED' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface ModelRow {
  id: string;
  sourceId: string;
  messageClass: MessageClass;
  status: DeliveryStatus;
  claimId: string | null;
  attempts: number;
  dataDrops: number;
}

/** One stream with its rows, in the database and in the model. */
class Ledger {
  private state: 'ACTIVE' | 'PAUSED' | 'CANCELLED' = 'ACTIVE';
  private readonly claims: TestClaim[] = [];
  private readonly processId = uuidv7();
  private readonly limits: CapacityLimit[] = [
    { kind: 'provider-hour', resourceId: uuidv7(), limit: 1_000 },
    { kind: 'provider-day', resourceId: uuidv7(), limit: 1_000 },
  ];

  private constructor(
    private readonly streamId: string,
    private readonly rows: ModelRow[],
  ) {}

  static async create(): Promise<Ledger> {
    const { insert, workspace } = world;
    const laneId = await insert('lanes', { kind: 'pool', key: world.unique() });
    const streamId = await insert('streams', { lane_id: laneId, source_type: 'TRANSACTIONAL', priority: 1 });
    const messageId = await insert('messages', {
      origin: 'TEST',
      ...{ subject: 'S', html: 'H', text: 'T', from_name: 'F', from_email: 'f@sender.example', compiled: '{}' },
      ...{ sha256: 'x', approval: 'NONE' },
    });
    const rows: ModelRow[] = [];
    for (let index = 0; index < ROWS; index += 1) {
      const email = `${world.unique()}@contacts.example`;
      // Both policies: test mail is held after an unknown outcome, transactional mail is sent again.
      const messageClass = index % 2 ? 'test' : 'transactional';
      const sourceId = uuidv7();
      const id = await insert('deliveries', {
        ...{
          source_type: 'TRANSACTIONAL',
          source_id: sourceId,
          step_key: 'send',
          recipient_key: email,
          address: email,
        },
        ...{
          address_hash: api.deps.addressHasher.hash(email),
          message_id: messageId,
          lane_id: laneId,
          mx_group: 'other',
        },
        ...{
          stream_id: streamId,
          class: messageClass,
          priority: 1,
          not_before: new Date(),
          max_attempts: MAX_ATTEMPTS,
        },
      });
      rows.push({ id, sourceId, messageClass, status: 'QUEUED', claimId: null, attempts: 0, dataDrops: 0 });
    }
    await api.db.query(sql`
      INSERT INTO run_counters (workspace_id, stream_id, process_id, materialised, queued)
      VALUES (${workspace.id}, ${streamId}, ${uuidv7()}, ${ROWS}, ${ROWS})`);
    return new Ledger(streamId, rows);
  }

  async run(what: Step): Promise<void> {
    switch (what.do) {
      case 'claim':
        return this.claim(what.rows);
      case 'settle':
        return this.settle(this.claims[what.claim % (this.claims.length || 1)], what.with);
      case 'lose':
        return this.lose(this.claims[what.claim % (this.claims.length || 1)]);
      case 'late':
        return this.late(this.claims[what.claim % (this.claims.length || 1)], what.row, what.outcome);
      case 'operator':
        return this.operate(what.rows, what.outcome);
      case 'stream':
        if (this.state === 'CANCELLED') return;
        return this.move(what.state);
      case 'cancel':
        return this.move('CANCELLED');
      case 'sweep':
        await cancelLeftovers(api.db);
        if (this.state === 'CANCELLED')
          for (const each of this.rows) if (each.status === 'QUEUED') each.status = 'CANCELLED';
    }
  }

  private async claim(indexes: number[]): Promise<void> {
    const wanted = indexes.flatMap((index) => this.rows[index] ?? []);
    const claim = await claimRows(
      api.db,
      this.processId,
      wanted.map((each) => ({ source_id: each.sourceId, id: each.id })),
      undefined,
      { limits: this.limits, localDate: '2026-03-29' },
    );
    const queued = wanted.filter((each) => each.status === 'QUEUED');
    expect(claim?.claimed.length ?? 0).toBe(this.state === 'ACTIVE' ? queued.length : 0);
    for (const each of queued) {
      if (this.state === 'CANCELLED') each.status = 'CANCELLED';
      if (this.state !== 'ACTIVE' || !claim) continue;
      each.status = 'SENDING';
      each.claimId = claim.claimId;
    }
    if (claim && claim.claimed.length > 0) this.claims.push(claim);
  }

  /** As the settler does: what is not SENDING under the claim any more is a late truth. May come twice. */
  private async settle(claim: TestClaim | undefined, names: string[]): Promise<void> {
    if (!claim) return;
    const settlements = claim.claimed.map((locked, index): RowSettlement => {
      const before = {
        messageClass: locked.message_class,
        attempts: locked.attempts,
        maxAttempts: MAX_ATTEMPTS,
        dataDrops: locked.data_drops,
      };
      const answer = OUTCOMES[names[index] ?? 'accepted'];
      if (!answer) throw new Error('no such outcome');
      return {
        workspaceId: world.workspace.id,
        streamId: this.streamId,
        sourceId: locked.source_id,
        id: locked.id,
        claimId: claim.claimId,
        claimedAt: claim.claimedAt,
        routeId: claim.claimId,
        settlement: settle(answer, before, LEASE),
        providerMessageId: null,
        attempt: null,
        units: claim.units,
        hasFrequencyUnit: false,
      };
    });
    const { late } = await settleRows(api.db, this.processId, settlements);
    const expected = settlements.filter((each) => !this.isOnTheWire(each.id, claim));
    expect(late.map((each) => each.id)).toEqual(expected.map((each) => each.id));
    for (const { id, settlement } of settlements) {
      const each = this.find(id);
      if (!each || !this.isOnTheWire(id, claim)) continue;
      each.status = settlement.status === 'QUEUED' && this.state === 'CANCELLED' ? 'CANCELLED' : settlement.status;
      each.attempts += settlement.burnt;
      each.dataDrops = settlement.dataDrops;
    }
    for (const { id, settlement } of late)
      if (settlement.status !== 'UNCONFIRMED') await this.tell(claim, id, settlement.status);
  }

  private async lose(claim: TestClaim | undefined): Promise<void> {
    if (!claim) return;
    await loseClaim(api.db, claim);
    for (const { id } of claim.claimed) {
      const each = this.find(id);
      if (!each || !this.isOnTheWire(id, claim)) continue;
      each.attempts += 1;
      each.status = each.messageClass === 'transactional' && each.attempts < MAX_ATTEMPTS ? 'QUEUED' : 'UNCONFIRMED';
    }
  }

  private async late(claim: TestClaim | undefined, index: number, truth: LateTruth['outcome']): Promise<void> {
    const locked = claim?.claimed[index % claim.claimed.length];
    if (claim && locked) await this.tell(claim, locked.id, truth);
  }

  private async tell(claim: TestClaim, id: string, truth: LateTruth['outcome']): Promise<void> {
    const each = this.find(id);
    if (!each) throw new Error('a claim has a foreign row');
    const base = { workspaceId: world.workspace.id, origin: 'REPLY' as const, reason: null, actorId: null };
    const result = await api.db.transaction((tx) =>
      settleLate(tx, {
        ...base,
        sourceId: each.sourceId,
        deliveryId: id,
        claimId: claim.claimId,
        outcome: truth,
        processId: this.processId,
      }),
    );
    const same = each.claimId === claim.claimId;
    const applies =
      (same && (each.status === 'SENDING' || each.status === 'UNCONFIRMED')) ||
      (each.status === 'QUEUED' && truth === 'SENT');
    expect(result).toBe(applies ? 'applied' : same && each.status === truth ? 'already-recorded' : 'moved-on');
    if (applies && each.status === 'QUEUED') each.claimId = claim.claimId;
    if (applies) each.status = truth === 'QUEUED' && this.state === 'CANCELLED' ? 'CANCELLED' : truth;
  }

  private async operate(indexes: number[], found: OperatorOutcome): Promise<void> {
    const wanted = indexes.flatMap((index) => this.rows[index] ?? []);
    const operator = { workspaceId: world.workspace.id, actorId: world.workspace.people.operator.id };
    const settlements = wanted.map((each) => ({ sourceId: each.sourceId, deliveryId: each.id, outcome: found }));
    const { results } = await api.db.transaction((tx) => settleByOperator(tx, operator, settlements));
    for (const [position, each] of wanted.entries()) {
      expect(results[position]?.result).toBe(each.status === 'UNCONFIRMED' ? 'applied' : 'not-unconfirmed');
      if (each.status !== 'UNCONFIRMED') continue;
      const again = this.state === 'CANCELLED' ? 'CANCELLED' : 'QUEUED';
      each.status = { SENT: 'SENT', FAILED: 'FAILED', NOT_SENT: again }[found] as DeliveryStatus;
    }
  }

  private async move(state: 'ACTIVE' | 'PAUSED' | 'CANCELLED'): Promise<void> {
    await api.db.query(sql`UPDATE streams SET state = ${state} WHERE id = ${this.streamId}`);
    this.state = state;
  }

  private find(id: string): ModelRow | undefined {
    return this.rows.find((each) => each.id === id);
  }

  private isOnTheWire(id: string, claim: TestClaim): boolean {
    const each = this.find(id);
    return each?.status === 'SENDING' && each.claimId === claim.claimId;
  }

  /** The rows are the model's, the counters are the rows, and SENT is what was accepted. */
  async check(): Promise<void> {
    const rows = await many<{ id: string; status: DeliveryStatus; attempts: number; data_drops: number }>(
      api.db,
      sql`SELECT id, status, attempts, data_drops FROM deliveries WHERE stream_id = ${this.streamId} ORDER BY id`,
    );
    const byId = [...this.rows].sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(rows).toEqual(
      byId.map(({ id, status, attempts, dataDrops }) => ({ id, status, attempts, data_drops: dataDrops })),
    );
    const counts = await one<Record<string, number>>(
      api.db,
      sql`SELECT coalesce(sum(queued), 0) AS "QUEUED", coalesce(sum(sending), 0) AS "SENDING", coalesce(sum(sent), 0) AS "SENT",
            coalesce(sum(failed), 0) AS "FAILED", coalesce(sum(unconfirmed), 0) AS "UNCONFIRMED",
            coalesce(sum(cancelled), 0) AS "CANCELLED" FROM run_counters WHERE stream_id = ${this.streamId}`,
    );
    const expected: Record<string, number> = {
      QUEUED: 0,
      SENDING: 0,
      SENT: 0,
      FAILED: 0,
      UNCONFIRMED: 0,
      CANCELLED: 0,
    };
    for (const { status } of this.rows) expected[status] = (expected[status] ?? 0) + 1;
    expect(counts).toEqual(expected);
    const accepted = await one<{ n: number }>(
      api.db,
      sql`SELECT (SELECT coalesce(sum(accepted), 0) FROM delivery_groups WHERE stream_id = ${this.streamId})
            + (SELECT count(*) FROM late_settlements WHERE stream_id = ${this.streamId} AND outcome = 'SENT' AND applied) AS n`,
    );
    expect(accepted?.n).toBe(expected.SENT);
  }
}

test('the ledger is its model, whatever happens in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30, size: 'max' }), async (steps) => {
      const ledger = await Ledger.create();
      for (const what of steps) {
        await ledger.run(what);
        await ledger.check();
      }
      // Whatever happened: what is used of each limit is what rows hold.
      expect(await auditCapacity(api.db, world.workspace.id, new Date(0))).toEqual([]);
    }),
    { numRuns: 150, endOnFailure: true, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  );
});
