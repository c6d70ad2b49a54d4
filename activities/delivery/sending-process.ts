import type { SendGate, SendOutcome } from '../../channels/connector';
import { loseClaims, openGroups, releaseProcess } from '../../db/delivery/process';
import type { RowSettlement } from '../../db/delivery/settle';
import { createContentSandbox } from '../../domain/content';
import { DatabaseClock, settle } from '../../domain/delivery';
import { deliveriesTotal } from '../../platform/metrics';
import type { ActivityDependencies } from '../dependencies';
import type { Claim, Claimed } from './claim-group';
import { reachFailpoint } from './failpoint';
import { FinishedStreams } from './finished-streams';
import { FreedLimits } from './freed-limits';
import { Lease } from './lease';
import { MessageContents } from './message-content';
import { OutcomeEffects } from './outcomes';
import { type Slot, slotAt } from './pace';
import { SendTrace } from './send-trace';
import { type ChosenRoute, SenderDirectory } from './sender-directory';
import { Settler } from './settler';
import { StoppedStreams } from './stopped-streams';
import { Window } from './window';

/** What a claim belongs to while its messages are open. */
export interface ClaimContext {
  workspaceId: string;
  streamId: string;
  processId: string;
  route: ChosenRoute;
}

/** A group that is older than this and held by nobody was lost by this very process. */
const FORGOTTEN_AFTER_SECONDS = 5;
/**
 * One delivery process: its lease, window, connections, open messages and settler. Drains only feed it and go; replies
 * may take ten minutes and are settled whenever they come.
 */
export class SendingProcess {
  readonly window: Window;
  readonly directory: SenderDirectory;
  readonly contents: MessageContents;
  readonly stopped: StoppedStreams;
  readonly lease: Lease;
  readonly databaseClock = new DatabaseClock();
  private readonly finished: FinishedStreams;
  private readonly freed: FreedLimits;
  private readonly settler: Settler;
  private readonly effects: OutcomeEffects;
  private readonly sandbox = createContentSandbox();
  private readonly openClaims = new Map<string, number>();
  private closing = false;
  private claimsUnderWay = 0;

  constructor(readonly deps: ActivityDependencies) {
    const { config, db, log } = deps;
    this.window = new Window(config.DELIVERY_WINDOW, config.SALLY_WITHOUT !== 'claim-order');
    this.directory = new SenderDirectory(deps);
    this.contents = new MessageContents(deps, this.sandbox);
    this.stopped = new StoppedStreams(db, log);
    this.finished = new FinishedStreams(deps);
    this.freed = new FreedLimits(deps, this.directory.usedUp);
    this.settler = new Settler(db, log);
    this.effects = new OutcomeEffects(deps, this.directory);
    this.lease = new Lease(
      db,
      log,
      config.DELIVERY_LEASE_SECONDS,
      () => this.openClaims.clear(),
      () => this.lookForForgotten(),
    );
  }

  start(): Promise<void> {
    return this.lease.start();
  }

  /** Whether drains may claim: not while closing, and only under a lease that still allows writing. */
  get accepting(): boolean {
    return !this.closing && this.lease.holds();
  }

  /** A claim is being written: its group may be in the database before it is in memory. */
  async claiming<T>(claimId: string, work: () => Promise<T>): Promise<T> {
    this.claimsUnderWay += 1;
    this.openClaims.set(claimId, 1);
    try {
      return await work();
    } finally {
      this.claimsUnderWay -= 1;
      this.release(claimId);
    }
  }

  /** Begins a claimed group: every message goes to its connector, at its slot if the sender is paced. */
  begin(context: ClaimContext, claim: Claim): void {
    if (claim.claimed.length === 0) return;
    reachFailpoint('after-claim-commit');
    const moments = { claimBegun: claim.begunAt, claimCommitted: Date.now() };
    this.openClaims.set(claim.claimId, (this.openClaims.get(claim.claimId) ?? 0) + claim.claimed.length);
    claim.claimed.forEach((claimed, position) => {
      this.stopped.hold(context.streamId);
      this.finished.hold(context.streamId);
      const slot = claim.pace && slotAt(claim.pace, position);
      const trace = SendTrace.begin(
        claimed.candidate,
        claimed.row.message_class,
        moments,
        this.deps.config.OTEL_BULK_SAMPLE_RATIO,
      );
      void this.sendOne(context, claim, claimed, slot).then((outcome) => {
        trace?.end(outcome);
        this.settleOne(context, claim, claimed, outcome);
      });
    });
  }

  /** Stops beginning messages, waits for answers up to `graceMs`, writes every outcome, releases the lease. */
  async close(graceMs: number): Promise<void> {
    this.closing = true;
    await this.directory.close(graceMs);
    while (this.claimsUnderWay > 0) await pause(10);
    while (this.window.used > 0 || this.settler.waiting > 0) {
      await this.settler.flush();
      await pause(5);
    }
    this.lease.stop();
    this.stopped.close();
    this.finished.close();
    this.freed.close();
    await releaseProcess(this.deps.db, this.lease.processId);
    await this.sandbox.close();
  }

  private async sendOne(
    context: ClaimContext,
    claim: Claim,
    claimed: Claimed,
    slot: Slot | null,
  ): Promise<SendOutcome> {
    const { message } = claimed.candidate;
    if (claim.uncertain || !message) return NOT_BEGUN;
    const early = slot ? slot.from - performance.now() : 0;
    if (early > 1) await pause(early);
    return context.route.connector.send(message, this.gate(context, slot));
  }

  private gate(context: ClaimContext, slot: Slot | null): SendGate {
    return {
      mayBegin: () =>
        !this.closing && !context.route.watch.holdsBack(context.route) && this.stopped.mayBegin(context.streamId),
      ...(slot && { isOnTime: () => performance.now() <= slot.until }),
      mayWrite: () => this.lease.processId === context.processId && this.lease.holds(),
    };
  }

  private settleOne(context: ClaimContext, claim: Claim, claimed: Claimed, outcome: SendOutcome): void {
    const { row } = claimed;
    if (outcome.kind === 'accepted') reachFailpoint('before-settle');
    const settlement = settle(
      outcome,
      {
        messageClass: row.message_class,
        attempts: row.attempts,
        maxAttempts: row.max_attempts,
        dataDrops: row.data_drops,
      },
      this.lease.seconds * 1000,
    );
    deliveriesTotal.inc({ class: row.message_class, outcome: settlement.status });
    this.effects.observe(claimed, context.route, outcome, settlement);
    const settled: RowSettlement = {
      workspaceId: context.workspaceId,
      streamId: context.streamId,
      sourceId: row.source_id,
      id: row.id,
      claimId: claim.claimId,
      claimedAt: claim.claimedAt,
      routeId: context.route.routeId,
      settlement,
      providerMessageId: outcome.kind === 'accepted' ? outcome.providerMessageId : null,
      rfcMessageId: outcome.kind === 'accepted' && outcome.messageId !== undefined ? `<${outcome.messageId}>` : null,
      attempt: settlement.record
        ? {
            number: row.attempts + 1,
            smtpCode: 'code' in outcome ? outcome.code : null,
            enhancedCode: 'enhanced' in outcome ? outcome.enhanced : null,
            diagnostic: OutcomeEffects.diagnostic(outcome),
          }
        : null,
      units: claim.units,
      hasFrequencyUnit: row.frequency !== null,
    };
    this.settler.add(settled, context.processId, () => {
      this.window.give(1);
      context.route.window?.give(1);
      this.stopped.release(context.streamId);
      this.finished.release(context.streamId);
      if (settlement.status === 'QUEUED') this.freed.returned(context.workspaceId, claim.units);
      this.release(claim.claimId);
    });
  }

  private release(claimId: string): void {
    const left = (this.openClaims.get(claimId) ?? 1) - 1;
    if (left > 0) this.openClaims.set(claimId, left);
    else this.openClaims.delete(claimId);
  }

  /** At every renewal: groups of our own that nobody in memory holds (design, section 4 "Fences"). */
  private async lookForForgotten(): Promise<void> {
    const groups = await openGroups(this.deps.db, this.lease.processId, FORGOTTEN_AFTER_SECONDS);
    const forgotten = groups.filter((claimId) => !this.openClaims.has(claimId));
    if (forgotten.length === 0) return;
    this.deps.log.error({ groups: forgotten.length }, 'groups of this process are held by nothing in memory');
    await this.deps.db.transaction((tx) => loseClaims(tx, forgotten, this.lease.seconds, this.lease.processId));
  }
}

const NOT_BEGUN: SendOutcome = { kind: 'not-sent', cause: 'stopped', inData: false };

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
