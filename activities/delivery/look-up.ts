import type { Connector, Evidence } from '../../channels/connector';
import { noteLookup, rowsToLookUp, type UnknownRow } from '../../db/delivery/lookups';
import { settleLate } from '../../db/delivery/settle-late';
import { WATCHDOG_PROCESS } from '../../db/delivery/watchdog';
import { CredentialsError, loadProvider } from '../../db/senders';
import type { LookupReport } from '../../domain/delivery/contract';
import type { ActivityDependencies } from '../dependencies';
import { createSenderConnector } from '../senders';
import { messageIdOf } from './message-content';

/** Types of providers that can be asked about a message. */
export const LOOKUP_TYPES = ['POSTMARK', 'MAILGUN'] as const;

/** Rows of one round. */
const MOST = 100;
/** A round ends after this, since the watchdog waits for it; the next one goes on. */
const ROUND_MS = 5_000;
const PATIENCE = {
  smtp: { connectMs: 4_000, greetingMs: 4_000, commandMs: 4_000, finalDotMs: 4_000 },
  http: { connectMs: 4_000, answerMs: 4_000 },
};

/**
 * Asks providers about messages whose outcome is unknown. What they know was accepted becomes SENT; that they know
 * nothing proves nothing, and the row stays as it is.
 */
export async function lookUpUnconfirmed(deps: ActivityDependencies): Promise<LookupReport> {
  const end = performance.now() + ROUND_MS;
  const report: LookupReport = { asked: 0, found: 0 };
  const connectors = new Map<string, Connector | null>();
  try {
    for (const row of await rowsToLookUp(deps.db, LOOKUP_TYPES, MOST)) {
      if (performance.now() > end) break;
      const key = `${row.workspaceId} ${row.providerId}`;
      if (!connectors.has(key)) connectors.set(key, await connectorOf(deps, row));
      const evidence = await ask(connectors.get(key) ?? null, row);
      await noteLookup(deps.db, row);
      report.asked += 1;
      if (!evidence?.found) continue;
      await settleFound(deps, row, evidence);
      report.found += 1;
    }
  } finally {
    await Promise.all([...connectors.values()].map((connector) => connector?.close(0)));
  }
  return report;
}

async function connectorOf(deps: ActivityDependencies, row: UnknownRow): Promise<Connector | null> {
  try {
    const provider = await loadProvider(deps.db, row.workspaceId, row.providerId, deps.keyring);
    return provider && createSenderConnector(provider, deps.config, { patience: PATIENCE });
  } catch (error) {
    if (error instanceof CredentialsError) return null;
    throw error;
  }
}

async function ask(connector: Connector | null, row: UnknownRow): Promise<Evidence | null> {
  const correlation = messageIdOf(row.sourceId, row.deliveryId);
  return (await connector?.lookup?.({ correlation, envelopeTo: row.address, begunAt: row.begunAt })) ?? null;
}

async function settleFound(
  deps: ActivityDependencies,
  row: UnknownRow,
  { providerMessageId, messageId }: Extract<Evidence, { found: true }>,
): Promise<void> {
  await deps.db.transaction((tx) =>
    settleLate(tx, {
      workspaceId: row.workspaceId,
      sourceId: row.sourceId,
      deliveryId: row.deliveryId,
      claimId: row.claimId,
      origin: 'EVIDENCE',
      outcome: 'SENT',
      reason: null,
      actorId: null,
      processId: WATCHDOG_PROCESS,
      providerMessageId,
      rfcMessageId: messageId === undefined ? null : `<${messageId}>`,
    }),
  );
}
