import type { PoolClient } from 'pg';
import { addImportedMembers } from '../../db/audiences';
import {
  advanceImport,
  appendImportEvent,
  beginImportBatch,
  grantImportedConsent,
  ImportConflict,
  type ImportCursor,
  type ImportJob,
  type ImportRejection,
  insertRejections,
  type KnownContact,
  readDryRunProfiles,
  type StagedChange,
  writeDryRunProfiles,
  writeImportBatch,
} from '../../db/contacts';
import { type HeaderMapping, type Profile, planRow } from '../../domain/contacts';
import type { ImportProgress } from '../../domain/contacts/contract';
import type { Database } from '../../platform/postgres';
import { ImportTakenOver } from './import-failure';
import type { PreparedBatch } from './import-rows';

/** More conflicts in a row than other people's changes explain. */
const MAX_ATTEMPTS = 8;

export interface ImportStep {
  cursor: ImportCursor;
  progress: ImportProgress;
}

/**
 * Applies one batch in one transaction: contacts, submissions, rejections, consent, list members, event, and the job's
 * place in the file. So a batch is applied whole or not at all, and never twice. Throws ImportTakenOver when the job was
 * cancelled or is worked on by another attempt.
 *
 * @param before what the batch before this one leaves. It may still be under way: then this batch does its larger part
 *   beside it, provided that they have no address in common, and commits after it.
 */
export async function applyBatch(
  db: Database,
  job: ImportJob,
  mapping: HeaderMapping,
  batch: PreparedBatch,
  before: Promise<ImportStep>,
): Promise<ImportStep> {
  // A dry run judges a row by what the batches before would have written, which it reads.
  if (job.input.dryRun || batch.repeatsEarlier) await before;
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction((tx) => applyOnce(tx, job, mapping, batch, before, attempt > 1));
    } catch (error) {
      if (!(error instanceof ImportConflict) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

async function applyOnce(
  tx: PoolClient,
  job: ImportJob,
  mapping: HeaderMapping,
  batch: PreparedBatch,
  before: Promise<ImportStep>,
  lock: boolean,
): Promise<ImportStep> {
  const { workspaceId, id: jobId, input } = job;
  const emails = batch.rows.map(({ contact }) => contact.email);
  const begun = await beginImportBatch(tx, workspaceId, emails, lock);
  const plan = new BatchPlan(mapping, input.tags, begun.known, begun.mintId);
  if (input.dryRun) {
    const hashes = batch.rows.map(({ emailHash }) => emailHash);
    plan.assume(batch, await readDryRunProfiles(tx, workspaceId, jobId, hashes));
  }
  plan.decide(batch);
  if (input.dryRun) await writeDryRunProfiles(tx, workspaceId, jobId, plan.changedProfiles());
  else await writeImportBatch(tx, { workspaceId, jobId, now: begun.now, staged: plan.staged });
  await insertRejections(tx, workspaceId, jobId, [...batch.rejections, ...plan.rejections]);

  const at = await before;
  const granted = input.dryRun ? NOTHING_GRANTED : await grant(tx, job, plan, batch, at, begun.now);
  const progress = {
    ...at.progress,
    bytesDone: batch.end.offset,
    rowsDone: at.progress.rowsDone + batch.count,
    created: at.progress.created + plan.created,
    updated: at.progress.updated + plan.updated,
    unchanged: at.progress.unchanged + plan.unchanged,
    rejected: at.progress.rejected + batch.rejections.length + plan.rejections.length,
    skippedCells: at.progress.skippedCells + batch.skippedCells,
    consentsGranted: at.progress.consentsGranted + granted.consents,
    membersAdded: at.progress.membersAdded + granted.members,
  };
  const cursor = { ...at.cursor, ...batch.end };
  if (!(await advanceImport(tx, { workspaceId, id: jobId, from: at.cursor, to: cursor, progress }))) {
    throw new ImportTakenOver();
  }
  return { cursor, progress };
}

const NOTHING_GRANTED = { consents: 0, members: 0 };

/** Consent and list membership for every contact of the batch, unchanged ones included; and the batch's event. */
async function grant(
  tx: PoolClient,
  { workspaceId, id: jobId, input }: ImportJob,
  plan: BatchPlan,
  batch: PreparedBatch,
  at: ImportStep,
  now: string,
): Promise<{ consents: number; members: number }> {
  const rows = [...plan.contacts.values()];
  const { consent, audienceId } = input;
  const consents =
    consent === null
      ? 0
      : await grantImportedConsent(tx, { workspaceId, jobId, purposeId: consent.purposeId, now, rows });
  const ids = rows.map(({ contactId }) => contactId);
  const members = audienceId === null ? 0 : await addImportedMembers(tx, workspaceId, audienceId, ids);
  if (plan.staged.length > 0 || consents > 0) {
    await appendImportEvent(tx, workspaceId, {
      job_id: jobId,
      first_row: at.cursor.row + 1,
      last_row: batch.end.row,
      created: plan.created,
      updated: plan.updated,
      consents_granted: consents,
    });
  }
  return { consents, members };
}

/** A contact as it stands after the rows decided so far. */
interface CurrentContact {
  contactId: string;
  row: number;
  profile: Profile;
  version: number;
  newVersion: number;
  emailHash: Buffer;
  /** Index of its last change in `staged`; -1 where nothing changed. */
  lastChange: number;
}

/** Decides row after row, each against what the rows before it left. */
class BatchPlan {
  created = 0;
  updated = 0;
  unchanged = 0;
  readonly staged: StagedChange[] = [];
  readonly rejections: ImportRejection[] = [];
  /** Every contact that the batch names, by address. */
  readonly contacts = new Map<string, CurrentContact>();
  private readonly assumed = new Map<string, Profile>();

  constructor(
    private readonly mapping: HeaderMapping,
    private readonly extraTags: readonly string[],
    private readonly known: ReadonlyMap<string, KnownContact>,
    private readonly mintId: () => string,
  ) {}

  /** Takes what earlier batches of a dry run would have written as given. */
  assume(batch: PreparedBatch, profiles: ReadonlyMap<string, Profile>): void {
    if (profiles.size === 0) return;
    for (const { contact, emailHash } of batch.rows) {
      const profile = profiles.get(emailHash.toString('hex'));
      if (profile !== undefined) this.assumed.set(contact.email, profile);
    }
  }

  decide(batch: PreparedBatch): void {
    for (const { row, cells, contact, emailHash } of batch.rows) {
      const current = this.contacts.get(contact.email) ?? this.find(contact.email, row, emailHash);
      const plan = planRow(this.mapping, contact, current?.profile ?? null, this.extraTags);
      if (plan.kind === 'reject') {
        this.rejections.push({ row, cells, ...plan.problem });
        continue;
      }
      if (plan.kind === 'unchanged') {
        if (current) this.contacts.set(contact.email, current);
        this.unchanged++;
        continue;
      }
      if (plan.kind === 'create') this.created++;
      else this.updated++;
      this.change(contact.email, row, emailHash, current, plan);
    }
  }

  /** For a dry run: what would have been written. */
  changedProfiles(): { emailHash: Buffer; profile: Profile }[] {
    return [...this.contacts.values()].filter(({ lastChange }) => lastChange >= 0);
  }

  private find(email: string, row: number, emailHash: Buffer): CurrentContact | null {
    const known = this.known.get(email);
    const assumed = this.assumed.get(email);
    const profile = assumed ?? known?.profile;
    if (profile === undefined) return null;
    const version = known?.version ?? 0;
    return {
      contactId: known?.id ?? this.mintId(),
      row,
      profile,
      version,
      newVersion: version,
      emailHash,
      lastChange: -1,
    };
  }

  private change(
    email: string,
    row: number,
    emailHash: Buffer,
    before: CurrentContact | null,
    plan: { profile: Profile; changes: StagedChange['changes'] },
  ): void {
    const current: CurrentContact = before ?? {
      contactId: this.mintId(),
      row,
      profile: plan.profile,
      version: 0,
      newVersion: 0,
      emailHash,
      lastChange: -1,
    };
    // Only the last change carries the contact: it is written once.
    const superseded = this.staged[current.lastChange];
    if (superseded) superseded.write = null;
    current.profile = plan.profile;
    current.newVersion++;
    current.lastChange = this.staged.length;
    this.staged.push({
      row,
      contactId: current.contactId,
      submissionId: this.mintId(),
      changes: plan.changes,
      write: {
        kind: current.version === 0 ? 'create' : 'update',
        email,
        emailHash,
        profile: plan.profile,
        version: current.version,
        newVersion: current.newVersion,
      },
    });
    this.contacts.set(email, current);
  }
}
