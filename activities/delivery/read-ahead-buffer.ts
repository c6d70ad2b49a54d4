import type { FrozenMessage } from '../../db/content';
import {
  type ActiveStream,
  activeStreams,
  type DueRow,
  type ReadAheadPair,
  readAhead,
} from '../../db/delivery/read-ahead';
import { MAILBOX_PROVIDER_GROUPS } from '../../domain/contacts';
import type { DrainShare } from '../../domain/delivery';
import type { RouteRequest } from '../../domain/senders';
import type { Candidate } from './candidate';
import type { RoutePlan } from './route-plan';
import type { SendingProcess } from './sending-process';

/** Rows read ahead per drain, shared among the pairs of stream and mailbox-provider group that have any. */
const READ_AHEAD = 1_024;
/** Rows read ahead and not yet being claimed below which the next look begins, while claims go on. */
const LOW_WATER = 256;
const LEAST_PER_PAIR = 32;
/** Rows set aside because their way is closed, so that looks go beyond them; what is more waits in the queue. */
const MOST_ASIDE = 4_096;

/** Rows of one stream that may leave by the same ways: what claims are made of. */
export interface Batch {
  key: string;
  stream: ActiveStream;
  request: RouteRequest;
  /** The way all its rows take, as long as the plan holds; null = not chosen yet, or row by row. */
  choice: BatchChoice | null;
  rows: DueRow[];
}

export interface BatchChoice {
  plan: RoutePlan;
  position: number;
  reason: string;
  probe: boolean;
}

/**
 * The due rows one drain has seen and not yet claimed, a fair share of each stream and mailbox-provider group. Nothing
 * is locked: a row is held here from the look that found it until its claim has ended, so that no look finds it twice.
 */
export class ReadAheadBuffer {
  private readonly batches = new Map<string, Batch>();
  private readonly held = new Set<string>();
  /** Rows held of each pair, waiting or being claimed: the next look must read beyond them. */
  private readonly heldOfPair = new Map<string, number>();
  private readonly cursors = new Map<string, Date>();
  /** Pairs whose last look gave a full page; only these share in what is read ahead. */
  private readonly busy = new Set<string>();
  /** Rendered, but not claimed yet: the window had no place for it. */
  private readonly rendered = new Map<string, { form: string; candidate: Candidate }>();
  private aside: DueRow[] = [];
  private asideUntil = Number.POSITIVE_INFINITY;
  private waiting = 0;
  private refilling: Promise<void> | null = null;

  constructor(
    private readonly process: SendingProcess,
    private readonly lane: { laneId: string; share: DrainShare },
    private readonly isOpen: (stream: ActiveStream) => boolean,
  ) {}

  /** The batch whose turn it is, or null when a look found nothing. It is the caller's until put back. */
  async next(): Promise<Batch | null> {
    if (this.aside.length > 0 && performance.now() >= this.asideUntil) this.takeBackAside();
    if (this.waiting < LOW_WATER) this.refilling ??= this.refill().finally(() => (this.refilling = null));
    if (this.batches.size === 0) await this.refilling;
    const next = this.batches.values().next();
    if (next.done) return null;
    this.batches.delete(next.value.key);
    return next.value;
  }

  /** Puts a batch back behind the others, so that each stream has its turn. */
  putBack(batch: Batch): void {
    if (batch.rows.length === 0) return;
    // A look that ended meanwhile may have begun another under its key.
    const newer = this.batches.get(batch.key);
    if (newer) {
      newer.rows = [...batch.rows, ...newer.rows];
      // Chosen at different moments: choose again for all of them.
      if (newer.choice?.plan !== batch.choice?.plan) newer.choice = null;
    } else this.batches.set(batch.key, batch);
  }

  /** Takes rows out of a batch to claim them; they stay held until `release`. */
  take(batch: Batch, rows: DueRow[], left: DueRow[]): void {
    batch.rows = left;
    this.waiting -= rows.length;
  }

  /** Rows that were taken and not claimed go to the front of their batch again. */
  giveBack(batch: Batch, rows: DueRow[]): void {
    batch.rows = [...rows, ...batch.rows];
    this.waiting += rows.length;
  }

  /** Forgets what waits in a batch; a later look finds it again. */
  drop(batch: Batch): void {
    this.waiting -= batch.rows.length;
    this.release(batch.rows);
    batch.rows = [];
  }

  /** The claim of these rows has ended: from now on a look that finds them tells the truth about them. */
  release(rows: readonly DueRow[]): void {
    for (const row of rows) {
      if (!this.held.delete(row.id)) continue;
      this.rendered.delete(row.id);
      const pair = pairKey(row.stream_id, row.mx_group);
      const left = (this.heldOfPair.get(pair) ?? 1) - 1;
      if (left > 0) this.heldOfPair.set(pair, left);
      else this.heldOfPair.delete(pair);
    }
  }

  /** Deals the rows of a batch out to batches by way; what none of them takes is set aside for `retryInMs`. */
  split(batch: Batch, parts: ReadonlyMap<string, { choice: BatchChoice; rows: DueRow[] }>): void {
    for (const [key, { choice, rows }] of parts) {
      const known = this.batches.get(key);
      if (known) {
        known.rows.push(...rows);
        if (known.choice?.plan !== choice.plan) known.choice = null;
      } else this.batches.set(key, { key, stream: batch.stream, request: batch.request, choice, rows });
    }
    batch.rows = [];
  }

  /** Sets rows aside whose way is closed while others are open; they stay held, and a look goes beyond them. */
  setAside(rows: DueRow[], retryInMs: number): void {
    this.waiting -= rows.length;
    const room = Math.max(0, MOST_ASIDE - this.aside.length);
    this.aside.push(...rows.slice(0, room));
    this.release(rows.slice(room));
    this.asideUntil = Math.min(this.asideUntil, performance.now() + retryInMs);
  }

  private takeBackAside(): void {
    this.release(this.aside);
    this.aside = [];
    this.asideUntil = Number.POSITIVE_INFINITY;
  }

  /** What a row was rendered to, made once for each form that routes ask for. */
  async candidate(row: DueRow, form: string, render: () => Promise<Candidate>): Promise<Candidate> {
    const ready = this.rendered.get(row.id);
    if (ready?.form === form) return ready.candidate;
    const candidate = await render();
    this.rendered.set(row.id, { form, candidate });
    return candidate;
  }

  get empty(): boolean {
    return this.batches.size === 0;
  }

  /** Resolves when no look is under way. */
  async settled(): Promise<void> {
    await this.refilling;
  }

  private async refill(): Promise<void> {
    const { db, config } = this.process.deps;
    const streams = await activeStreams(db, this.lane.laneId);
    const open = streams.filter((stream) => this.isOpen(stream));
    if (config.SALLY_WITHOUT !== 'claim-order') {
      await this.look(open);
      return;
    }
    // Benches only: first come, first served. A stream's turn comes when the older ones have nothing due.
    for (const stream of open.sort((left, right) => (left.id < right.id ? -1 : 1))) {
      if ((await this.look([stream])) > 0) return;
    }
  }

  /** Reads a share of each of these streams; how many due rows it saw. */
  private async look(streams: ActiveStream[]): Promise<number> {
    if (streams.length === 0) return 0;
    const { db } = this.process.deps;
    const pairs = this.pairsOf(streams);
    const found = await readAhead(db, this.lane.laneId, pairs, this.lane.share);
    this.learn(pairs, found);
    const byId = new Map(streams.map((stream) => [stream.id, stream]));
    for (const row of found) {
      const stream = byId.get(row.stream_id);
      if (!stream || this.held.has(row.id)) continue;
      const content = await this.process.contents.load(row.workspace_id, row.message_id);
      this.hold(stream, content.message, row);
    }
    return found.length;
  }

  private pairsOf(streams: ActiveStream[]): ReadAheadPair[] {
    const groups: readonly string[] = MAILBOX_PROVIDER_GROUPS;
    const known = streams.flatMap((stream) => groups.map((mxGroup) => ({ stream, mxGroup })));
    const busy = known.filter(({ stream, mxGroup }) => this.busy.has(pairKey(stream.id, mxGroup))).length;
    const share = Math.max(LEAST_PER_PAIR, Math.ceil(READ_AHEAD / (busy || known.length)));
    return known.map(({ stream, mxGroup }) => {
      const key = pairKey(stream.id, mxGroup);
      return {
        streamId: stream.id,
        runId: stream.run_id,
        sourceType: stream.source_type,
        mxGroup,
        limit: (busy === 0 || this.busy.has(key) ? share : LEAST_PER_PAIR) + (this.heldOfPair.get(key) ?? 0),
        from: this.cursors.get(key) ?? null,
      };
    });
  }

  /** A full page moves the pair's cursor behind rows that have left the queue; an incomplete one starts over. */
  private learn(pairs: ReadAheadPair[], found: DueRow[]): void {
    const seen = new Map<string, { rows: number; first: Date }>();
    for (const row of found) {
      const key = pairKey(row.stream_id, row.mx_group);
      const pair = seen.get(key);
      if (!pair) seen.set(key, { rows: 1, first: row.not_before });
      else {
        pair.rows += 1;
        if (row.not_before < pair.first) pair.first = row.not_before;
      }
    }
    for (const pair of pairs) {
      const key = pairKey(pair.streamId, pair.mxGroup);
      const page = seen.get(key);
      if (page && page.rows >= pair.limit) {
        this.cursors.set(key, page.first);
        this.busy.add(key);
      } else {
        this.cursors.delete(key);
        this.busy.delete(key);
      }
    }
  }

  private hold(stream: ActiveStream, message: FrozenMessage, row: DueRow): void {
    const fromEmail = row.mailbox?.email ?? message.fromEmail;
    const key = message.routing ? `${stream.id} ${fromEmail} ${row.message_id}` : `${stream.id} ${fromEmail}`;
    const batch = this.batches.get(key) ?? {
      key,
      stream,
      request: { fromEmail, fixedProviderId: row.mailbox?.provider_id ?? null, routing: message.routing ?? null },
      choice: null,
      rows: [],
    };
    batch.rows.push(row);
    this.batches.set(key, batch);
    this.waiting += 1;
    this.held.add(row.id);
    const pair = pairKey(stream.id, row.mx_group);
    this.heldOfPair.set(pair, (this.heldOfPair.get(pair) ?? 0) + 1);
  }
}

function pairKey(streamId: string, mxGroup: string): string {
  return `${streamId} ${mxGroup}`;
}
