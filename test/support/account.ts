import { many, sql } from '../../platform/postgres';
import type { CampaignWorld } from './campaign-world';

/** What became of a closed run: the ledger compared with what the mail server saw, token by token. */
export interface Account {
  rows: number;
  byStatus: Record<string, number>;
  /** Tokens that the server accepted more than once. */
  duplicates: number;
  /** SENT rows whose token the server never saw, plus rows in no end state. */
  lost: number;
  /** Tokens of this run that the server accepted although the ledger says neither SENT nor UNCONFIRMED. */
  denied: number;
  unconfirmed: number;
}

/** Every row of a run by its token, the left part of its Message-ID. */
export function ledgerTokens(world: CampaignWorld, runId: string): Promise<{ token: string; status: string }[]> {
  return many(
    world.db,
    sql`SELECT replace(source_id::text, '-', '') || '.' || replace(id::text, '-', '') AS token, status
        FROM deliveries WHERE source_id = ${runId}`,
  );
}

/** Takes stock of a run. `accepted`: how often the server accepted each Message-ID, as "left part@domain". */
export async function accountOf(
  world: CampaignWorld,
  runId: string,
  accepted: Iterable<readonly [string, number]>,
): Promise<Account> {
  const seen = new Map<string, number>();
  for (const [token, count] of accepted) {
    const key = token.split('@')[0] ?? token;
    seen.set(key, (seen.get(key) ?? 0) + count);
  }
  const rows = await ledgerTokens(world, runId);
  const account: Account = { rows: rows.length, byStatus: {}, duplicates: 0, lost: 0, denied: 0, unconfirmed: 0 };
  for (const { token, status } of rows) {
    const times = seen.get(token) ?? 0;
    account.byStatus[status] = (account.byStatus[status] ?? 0) + 1;
    if (times > 1) account.duplicates += 1;
    if (status === 'SENT' ? times === 0 : status === 'QUEUED' || status === 'SENDING') account.lost += 1;
    if (times > 0 && status !== 'SENT' && status !== 'UNCONFIRMED') account.denied += 1;
    if (status === 'UNCONFIRMED') account.unconfirmed += 1;
  }
  return account;
}

/** What a sink counted, for `accountOf`. */
export function countsOf(tokens: Record<string, { count: number }>): [string, number][] {
  return Object.entries(tokens).map(([token, { count }]) => [token, count]);
}
