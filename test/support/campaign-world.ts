import { insertRun, moveRun } from '../../db/campaigns';
import { seedConsent } from '../../db/consent';
import { insertMessage } from '../../db/content';
import { campaignRunWorkflow } from '../../domain/campaigns/contract';
import { compileContent } from '../../domain/content';
import type { PermittedRouting } from '../../domain/senders';
import { AddressHasher } from '../../platform/crypto';
import { Database, many, one, sql } from '../../platform/postgres';
import { createTemporalClient, ensureWorkflow } from '../../platform/temporal';

const LINKS = Array.from(
  { length: 10 },
  (_, n) => `<p><a href="https://example.com/offers/${n}?from=news">Offer number ${n}: something worth a look</a></p>`,
);
const PARAGRAPH =
  '<p style="margin:0 0 16px;font:16px/1.5 Arial,sans-serif;color:#333333">We have put together what is new this month, with care and at some length, so that you can decide in peace what is of interest to you and what is not.</p>';

/** A newsletter of about 6 KB of HTML, with a greeting, ten links, and text of its own. */
export const NEWSLETTER = {
  subject: 'News of the month for {{ first_name|default("you") }}',
  html: `<!doctype html><html><head><title>News</title></head><body style="margin:0;background:#f4f4f4">
<h1 style="font:24px Arial,sans-serif">Hello {{ first_name|default("there") }}!</h1>
${LINKS.map((link) => `${PARAGRAPH}\n${link}`).join('\n')}
${Array.from({ length: 8 }, () => PARAGRAPH).join('\n')}
<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>`,
  text: `Hello {{ first_name|default("there") }}!\n\n${'What is new this month, in plain words.\n'.repeat(20)}\nUnsubscribe: {{ unsubscribe_url }}\n`,
};

/** A mail of a few lines, for suites that do not look at its content. */
export const SHORT_MAIL = {
  subject: 'Hello {{ first_name }}',
  html: '<p>Hello</p><p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>',
  text: 'Hello\n{{ unsubscribe_url }}\n',
};

/** What a world needs of a running stack. */
export interface WorldConnections {
  workerUrl: string;
  temporalAddress: string;
  namespace: string;
  suppressionKey: string;
  /** As of `createTemporalClient`. */
  fair?: boolean;
}

/** What a campaign may differ in. */
interface CampaignOptions {
  /** Whose consent makes the audience; default: the world's first purpose. */
  purposeId?: string;
  /** The pool whose lane it goes through; default: that of its routing. */
  poolId?: string | null;
}

export interface RunCounts {
  status: string;
  phase: string;
  rows: number;
  byStatus: Record<string, number>;
}

/** A workspace with contacts that consented and a campaign that is approved: ready to be sent again and again. */
export class CampaignWorld {
  private constructor(
    readonly db: Database,
    readonly connections: WorldConnections,
    private readonly temporal: ReturnType<typeof createTemporalClient>,
    readonly workspaceId: string,
    readonly userId: string,
    readonly purposeId: string,
  ) {}

  static async create(connections: WorldConnections, contacts: number): Promise<CampaignWorld> {
    const db = new Database({
      url: connections.workerUrl,
      applicationName: 'world',
      connections: 4,
      statementTimeoutMs: 300_000,
    });
    const temporal = createTemporalClient({
      address: connections.temporalAddress,
      namespace: connections.namespace,
      fair: connections.fair,
    });
    const { workspaceId, userId } = await db.transaction(async (tx) => {
      const workspace = await one<{ id: string }>(
        tx,
        sql`INSERT INTO workspaces (name, slug, from_email, from_name, message_domain)
            VALUES ('World', 'world-' || gen_random_uuid(), 'news@sender.example', 'Sender', 'sender.example') RETURNING id`,
      );
      const user = await one<{ id: string }>(
        tx,
        sql`INSERT INTO users (email, name, password_hash) VALUES ('owner-' || gen_random_uuid() || '@sender.example', 'Owner', 'x') RETURNING id`,
      );
      if (!workspace || !user) throw new Error('no world');
      await seedConsent(tx, workspace.id);
      return { workspaceId: workspace.id, userId: user.id };
    });
    const purpose = await one<{ id: string }>(
      db,
      sql`SELECT id FROM purposes WHERE workspace_id = ${workspaceId} AND kind = 'marketing'`,
    );
    if (!purpose) throw new Error('no purpose');
    const world = new CampaignWorld(db, connections, temporal, workspaceId, userId, purpose.id);
    await world.addContacts(contacts);
    return world;
  }

  /** Contacts user0@gmail.com, … spread over mailbox providers, all with consent. */
  async addContacts(count: number, prefix = 'user', purposeId = this.purposeId): Promise<void> {
    const hasher = new AddressHasher(this.connections.suppressionKey);
    const domains = ['gmail.com', 'gmail.com', 'outlook.com', 'yahoo.com', 'example.org', 'corp.example.net'];
    const size = 20_000;
    for (let from = 0; from < count; from += size) {
      const emails = Array.from(
        { length: Math.min(size, count - from) },
        (_, n) => `${prefix}${from + n}@${domains[(from + n) % domains.length]}`,
      );
      await this.db.query(sql`
        WITH made AS (
          INSERT INTO contacts (workspace_id, email, email_hash, first_name, last_name)
          SELECT ${this.workspaceId}, v.email, v.hash, 'Ada', 'Lovelace'
          FROM unnest(${emails}::text[], ${emails.map((email) => hasher.hash(email))}::bytea[]) AS v (email, hash)
          RETURNING id)
        INSERT INTO consents (workspace_id, contact_id, purpose_id, status, granted_at, source)
        SELECT ${this.workspaceId}, id, ${purposeId}, 'granted', sally_now(), 'api' FROM made`);
    }
    await this.db.query('ANALYZE contacts');
    await this.db.query('ANALYZE consents');
  }

  /** Makes a further purpose that so many new contacts agreed to; its id. */
  async addPurpose(key: string, contacts: number): Promise<string> {
    const purpose = await one<{ id: string }>(
      this.db,
      sql`INSERT INTO purposes (workspace_id, key, name, kind, wording)
          VALUES (${this.workspaceId}, ${key}, ${key}, 'marketing', 'Send me this.') RETURNING id`,
    );
    if (!purpose) throw new Error('no purpose');
    await this.addContacts(contacts, key, purpose.id);
    return purpose.id;
  }

  /** An approved campaign to everybody with consent, due now; its workflow is started. Returns the run's id. */
  async startCampaign(
    content: { subject: string; html: string; text: string } = NEWSLETTER,
    routing: PermittedRouting | null = null,
    more: CampaignOptions = {},
  ): Promise<string> {
    const runId = await this.insertCampaign(content, routing, more);
    await this.follow(runId);
    return runId;
  }

  /** Starts or wakes a run's workflow. */
  private async follow(runId: string): Promise<void> {
    const start = campaignRunWorkflow({ workspaceId: this.workspaceId, runId });
    // On a busy machine Temporal's answer may come too late; starting another time is harmless.
    for (let attempt = 1; ; attempt += 1) {
      try {
        await ensureWorkflow(this.temporal.client, start);
        return;
      } catch (error) {
        if (attempt >= 10) throw error;
      }
    }
  }

  private insertCampaign(
    content: { subject: string; html: string; text: string },
    routing: PermittedRouting | null,
    { purposeId = this.purposeId, poolId = routing?.pool_id ?? null }: CampaignOptions,
  ): Promise<string> {
    return this.db.transaction(async (tx) => {
      const campaign = await one<{ id: string }>(
        tx,
        sql`INSERT INTO campaigns (workspace_id, name, subject, html, text, from_name, from_email, purpose_id, all_consented)
            VALUES (${this.workspaceId}, 'Campaign', ${content.subject}, ${content.html}, ${content.text}, 'Sender', 'news@sender.example',
              ${purposeId}, true) RETURNING id`,
      );
      if (!campaign) throw new Error('no campaign');
      const compiled = compileContent(
        { ...content, previewText: '' },
        { unsubscribeLink: true, trackOpens: true, trackClicks: true },
      );
      const message = await insertMessage(tx, {
        workspaceId: this.workspaceId,
        origin: 'CAMPAIGN',
        campaignId: campaign.id,
        templateId: null,
        templateVersion: null,
        ...content,
        previewText: '',
        fromName: 'Sender',
        fromEmail: 'news@sender.example',
        routing,
        replyTo: null,
        categoryId: null,
        purposeId,
        templateContext: {},
        templateDefaults: {},
        tracking: true,
        audience: { include: [], exclude: [], allConsented: true },
        compiled,
        approval: 'SUBMITTED',
        authors: [this.userId],
        submittedBy: this.userId,
      });
      if (!message) throw new Error('no message');
      await tx.query(sql`UPDATE messages SET approval = 'APPROVED' WHERE id = ${message.id}`);
      await tx.query(sql`UPDATE campaigns SET message_id = ${message.id} WHERE id = ${campaign.id}`);
      const run = await insertRun(tx, {
        workspaceId: this.workspaceId,
        campaignId: campaign.id,
        messageId: message.id,
        sha256: message.sha256,
        poolId,
        at: null,
        sendWindow: null,
        expiresAt: null,
        createdBy: this.userId,
      });
      return run.id;
    });
  }

  /** Pauses as the API does; returns the moment the statement was answered (ms since 1970). */
  async pause(runId: string): Promise<number> {
    const moved = await moveRun(this.db, this.workspaceId, runId, {
      from: ['SENDING'],
      to: 'PAUSED',
      stream: 'PAUSED',
      begun: true,
      stopReason: null,
    });
    if (!moved) throw new Error('the run could not be paused');
    return Date.now();
  }

  /** Resumes as the API does. */
  async resume(runId: string): Promise<void> {
    const moved = await moveRun(this.db, this.workspaceId, runId, {
      from: ['PAUSED'],
      to: 'SENDING',
      stream: 'ACTIVE',
      begun: true,
      stopReason: null,
    });
    if (!moved) throw new Error('the run could not be resumed');
    await this.follow(runId);
  }

  /** Rows by status, counted from the ledger. */
  async counts(runId: string): Promise<RunCounts> {
    const run = await one<{ status: string; phase: string }>(
      this.db,
      sql`SELECT status, phase FROM campaign_runs WHERE workspace_id = ${this.workspaceId} AND id = ${runId}`,
    );
    const rows = await many<{ status: string; n: number }>(
      this.db,
      sql`SELECT status, count(*) AS n FROM deliveries WHERE source_id = ${runId} GROUP BY status`,
    );
    const byStatus = Object.fromEntries(rows.map((row) => [row.status, row.n]));
    return {
      status: run?.status ?? 'absent',
      phase: run?.phase ?? 'absent',
      rows: rows.reduce((sum, row) => sum + row.n, 0),
      byStatus,
    };
  }

  /** Sent so far by the counters: cheap enough to poll. */
  async sentSoFar(runId: string): Promise<number> {
    const row = await one<{ sent: number }>(
      this.db,
      sql`SELECT coalesce(sum(c.sent), 0) AS sent FROM campaign_runs r JOIN run_counters c ON c.stream_id = r.stream_id WHERE r.id = ${runId}`,
    );
    return row?.sent ?? 0;
  }

  /** Resolves when the run is SENT; rejects after `timeoutMs` with the counts it stands at. */
  async untilSent(runId: string, timeoutMs = 120_000): Promise<RunCounts> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const run = await one<{ status: string }>(
        this.db,
        sql`SELECT status FROM campaign_runs WHERE id = ${runId}`,
      ).catch(() => null);
      if (run?.status === 'SENT') return this.counts(runId);
      if (Date.now() > end) throw new Error(`the run did not finish: ${JSON.stringify(await this.counts(runId))}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.db.close(), this.temporal.close()]);
  }
}
