import { Context } from '@temporalio/activity';
import { finishErasure, type OpenErasure, openErasure } from '../../db/contacts/erase';
import {
  importsWithRejections,
  type PurgeCounts,
  type PurgeTarget,
  purgeAudit,
  purgeHistory,
  purgeLedger,
  purgeRecords,
  purgeRejections,
  purgeStoredAnswers,
  readFilePiece,
  removeFile,
  storedFiles,
} from '../../db/contacts/purge';
import { writeAudit } from '../../db/workspace';
import type { ErasureStep, RightsJobInput } from '../../domain/contacts/contract';
import { AddressSearch, readSealedAddresses } from '../../domain/contacts/erasure';
import type { ActivityDependencies } from '../dependencies';

type ErasureDependencies = Pick<ActivityDependencies, 'db' | 'keyring' | 'addressHasher'>;

const NIL = '00000000-0000-0000-0000-000000000000';

/**
 * Erases what is known of a person wherever it may be erased already, and says what has to be waited for. Every step is
 * a transaction of its own and may be repeated; the last one ends the job and writes the audit row.
 */
export async function runErasure(deps: ErasureDependencies, input: RightsJobInput): Promise<ErasureStep> {
  const job = await openErasure(deps.db, input.workspaceId, input.jobId);
  if (!job) return { state: 'DONE' };
  if (!job.horizonPassed) return { state: 'WAIT', waitsFor: 'OLDER_TRANSACTIONS', seconds: 1 };
  const counts: PurgeCounts = {};
  const target = targetOf(deps, input.workspaceId, job);
  const { db } = deps;
  const sending = await db.transaction((tx) => purgeLedger(tx, target, counts));
  if (sending > 0) return { state: 'WAIT', waitsFor: 'MESSAGES_BEING_SENT', seconds: 2 };
  if (!(await purgeFiles(deps, target, counts))) return { state: 'WAIT', waitsFor: 'FILES_IN_USE', seconds: 15 };
  await db.transaction((tx) => purgeRecords(tx, target, counts));
  await db.transaction((tx) => purgeStoredAnswers(tx, target, counts));
  for (const importId of await importsWithRejections(db, target.workspaceId)) {
    await db.transaction((tx) => purgeRejections(tx, target, importId, counts));
  }
  await db.transaction((tx) => purgeHistory(tx, target, counts));
  for (let after: string | null = NIL; after !== null; ) {
    const from: string = after;
    after = await db.transaction((tx) => purgeAudit(tx, target, from, counts));
    stopWhenCancelled();
  }
  await db.transaction(async (tx) => {
    if (!(await finishErasure(tx, input.workspaceId, input.jobId, counts))) return;
    await writeAudit(tx, {
      workspaceId: input.workspaceId,
      actor: { type: 'system' },
      action: 'contact.erased',
      entityType: 'contact',
      entityId: job.contactId,
      new: { job_id: input.jobId, rows: counts },
    });
  });
  return { state: 'DONE' };
}

function targetOf(deps: ErasureDependencies, workspaceId: string, job: OpenErasure): PurgeTarget {
  const addresses = readSealedAddresses(deps.keyring, job.sealed);
  const hashes = addresses.map((address) => deps.addressHasher.hash(address));
  return { workspaceId, contactIds: job.contactIds, addresses, hashes };
}

/** Removes the files that hold one of the addresses. False: one of them is in use. */
async function purgeFiles(deps: ErasureDependencies, target: PurgeTarget, counts: PurgeCounts): Promise<boolean> {
  let free = true;
  for (const file of await storedFiles(deps.db, target.workspaceId)) {
    if (file.kind === 'export' && file.inUse) {
      free = false;
      continue;
    }
    const search = new AddressSearch(target.addresses);
    for (let position = 0; ; position += 1) {
      stopWhenCancelled();
      const piece = await readFilePiece(deps.db, target.workspaceId, file, position);
      if (piece === null) break;
      if (!search.feed(piece)) continue;
      if (file.inUse) free = false;
      else await deps.db.transaction((tx) => removeFile(tx, target.workspaceId, file, counts));
      break;
    }
  }
  return free;
}

function stopWhenCancelled(): void {
  const { cancellationSignal } = Context.current();
  if (cancellationSignal.aborted) throw cancellationSignal.reason;
}
