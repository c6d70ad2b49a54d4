import { setTimeout as sleep } from 'node:timers/promises';
import { type Engagement, recordEngagements } from '../../db/tracking';
import type { Logger } from '../../platform/log';
import type { Queryable } from '../../platform/postgres';
import type { ClickSpool, SpooledEngagement } from './click-spool';
import type { LinkTables } from './link-tables';

/** Rows of one statement, and how long the first waits for company: one commit (one fsync) serves them all. */
const MAX_ROWS = 500;
const GATHER_MS = 4;
/** Statements under way at once. */
const MAX_FLUSHES = 2;
/** A commit that takes longer counts as "Postgres is away": the batch goes to disk, and is answered. */
const PATIENCE_MS = 1_000;
/** How long batches go straight to disk after that, and how often the spool is looked at. */
const AWAY_MS = 1_000;

interface Waiting {
  engagement: SpooledEngagement;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * Makes opens and clicks durable: in Postgres by group commit, on disk while Postgres is away, and from disk into
 * Postgres when it is back. A row may be written by several of these ways; its id makes that one row.
 */
export class EngagementRecorder {
  private pending: Waiting[] = [];
  private flushing = 0;
  private gathering: NodeJS.Timeout | null = null;
  private awayUntil = 0;
  private readonly running = new Set<Promise<void>>();
  private replaying: Promise<void> | null = null;
  private readonly replayTimer: NodeJS.Timeout;

  constructor(
    private readonly db: Queryable,
    private readonly spool: ClickSpool,
    private readonly tables: LinkTables,
    private readonly log: Logger,
  ) {
    this.replayTimer = setInterval(() => void this.replay(), AWAY_MS);
    this.replayTimer.unref();
  }

  /** Resolves when the engagement is durable. @throws when neither Postgres nor the disk takes it */
  record(engagement: SpooledEngagement): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pending.push({ engagement, resolve, reject });
      if (this.pending.length >= MAX_ROWS) this.flush();
      else this.gathering ??= setTimeout(() => this.flush(), GATHER_MS);
    });
  }

  /** Writes what is pending and waits for everything under way; what Postgres does not take stays on disk. */
  async close(): Promise<void> {
    clearInterval(this.replayTimer);
    while (this.pending.length > 0 || this.running.size > 0) {
      this.flush();
      await Promise.all(this.running);
    }
    // A frozen Postgres would hold the replay; its file is still there at the next start.
    if (this.replaying) await Promise.race([this.replaying, sleep(PATIENCE_MS, undefined, { ref: false })]);
    await this.spool.close();
  }

  private flush(): void {
    if (this.gathering) clearTimeout(this.gathering);
    this.gathering = null;
    if (this.flushing >= MAX_FLUSHES || this.pending.length === 0) return;
    const batch = this.pending.splice(0, MAX_ROWS);
    this.flushing += 1;
    const work = this.write(batch).finally(() => {
      this.flushing -= 1;
      this.running.delete(work);
      if (this.pending.length > 0) this.flush();
    });
    this.running.add(work);
  }

  private async write(batch: readonly Waiting[]): Promise<void> {
    try {
      const engagements = batch.map(({ engagement }) => engagement);
      if (Date.now() < this.awayUntil || !(await this.intoPostgres(engagements))) await this.spool.append(engagements);
      for (const { resolve } of batch) resolve();
    } catch (error) {
      this.log.error({ err: error }, 'neither Postgres nor the spool took a batch of engagements');
      for (const { reject } of batch) reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Whether the batch is committed; a commit that comes too late, after this said no, does no harm. */
  private async intoPostgres(engagements: readonly SpooledEngagement[]): Promise<boolean> {
    if (!engagements.every(hasWorkspace)) return false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      // One turn later: where this process itself stood still, the answer may have been there all the while.
      timer = setTimeout(() => setImmediate(() => resolve('late')), PATIENCE_MS);
    });
    try {
      const outcome = await Promise.race([recordEngagements(this.db, engagements), late]);
      if (outcome !== 'late') return true;
      this.log.warn('Postgres is too slow for clicks; they are spooled to disk');
    } catch (error) {
      this.log.warn({ err: error }, 'Postgres did not take clicks; they are spooled to disk');
    } finally {
      clearTimeout(timer);
    }
    this.awayUntil = Date.now() + AWAY_MS;
    return false;
  }

  /** Moves ready files of the spool into Postgres; one replay at a time. */
  replay(): Promise<void> {
    this.replaying ??= this.replayFiles()
      .catch((error: unknown) => this.log.debug({ err: error }, 'spooled clicks still wait'))
      .finally(() => {
        this.replaying = null;
      });
    return this.replaying;
  }

  private async replayFiles(): Promise<void> {
    for (const path of await this.spool.ready()) {
      const engagements = await this.withWorkspaces(await this.spool.read(path));
      for (let start = 0; start < engagements.length; start += MAX_ROWS) {
        await recordEngagements(this.db, engagements.slice(start, start + MAX_ROWS));
      }
      await this.spool.remove(path);
      this.log.info({ engagements: engagements.length }, 'spooled clicks are in Postgres now');
    }
  }

  /** Looks up what could not be looked up then; an engagement with a message that does not exist is dropped. */
  private async withWorkspaces(spooled: readonly SpooledEngagement[]): Promise<Engagement[]> {
    const found: Engagement[] = [];
    for (const engagement of spooled) {
      const workspaceId = engagement.workspaceId ?? (await this.tables.find(engagement.messageId))?.workspaceId;
      if (workspaceId) found.push({ ...engagement, workspaceId });
    }
    return found;
  }
}

function hasWorkspace(engagement: SpooledEngagement): engagement is SpooledEngagement & Engagement {
  return engagement.workspaceId !== null;
}
