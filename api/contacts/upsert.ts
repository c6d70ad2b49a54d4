import {
  activeFieldDefinitions,
  externalIdsOf,
  findByKeys,
  holdContacts,
  insertExternalIds,
  lookUpOnly,
  ProfileConflict,
  writeProfiles,
} from '../../db/contacts';
import {
  type ExternalId,
  type FieldDefinition,
  normaliseEmail,
  type UpsertOutcome,
  UpsertPlan,
  type UpsertRow,
} from '../../domain/contacts';
import { uuidv7 } from '../../platform/ids';
import { Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { id, z } from '../http/schemas';
import { externalIds } from './external-ids';
import { profileChange, readProfile } from './profile-input';
import { CONTACTS, TAG } from './schemas';

const MAX_ROWS = 1_000;
/** Look, plan and write again when somebody else makes one of the contacts meanwhile. */
const MAX_ATTEMPTS = 5;

const upsertRow = profileChange.extend({ external_ids: externalIds.default([]) });
const upsertRequest = z.strictObject({ contacts: z.array(upsertRow).min(1).max(MAX_ROWS) });

const result = z
  .object({
    index: z.number().int(),
    status: z.enum(['created', 'updated', 'unchanged', 'rejected']),
    contact_id: id.nullable(),
    error: z
      .object({
        code: z.enum(['invalid', 'ambiguous', 'address-taken', 'too-large']),
        errors: z.array(z.object({ pointer: z.string(), detail: z.string() })),
        contact_ids: z.array(id).openapi({ description: 'Of an ambiguous row: the contacts that its keys name.' }),
      })
      .nullable(),
  })
  .openapi('ContactUpsertResult');

const upsertAnswer = z
  .object({
    created: z.number().int(),
    updated: z.number().int(),
    unchanged: z.number().int(),
    rejected: z.number().int(),
    results: z.array(result).openapi({ description: 'One for each contact of the request, in its order.' }),
  })
  .openapi('ContactUpsert');

type Row = z.output<typeof upsertRow>;

/** A row with its keys read; `error` where they cannot be. */
function readRow(row: Row, definitions: readonly FieldDefinition[]): UpsertRow {
  const { external_ids, email, ...profile } = row;
  const address = email === undefined ? null : normaliseEmail(email);
  return {
    email: address?.ok ? address.email : null,
    externalIds: external_ids,
    read(mode) {
      try {
        if (address?.ok === false) throw new Problem('validation-failed', '', { errors: badAddress(address.message) });
        return { ok: true, changes: readProfile(profile, definitions, mode) };
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        const errors = error.options.errors ?? [];
        return {
          ok: false,
          errors: errors.map(({ pointer, detail }) => ({ pointer: pointer.replace(/^\/body/, ''), detail })),
        };
      }
    },
  };
}

const badAddress = (detail: string) => [{ pointer: '/body/email', detail }];

async function upsert(context: WorkspaceContext, rows: readonly Row[]): Promise<UpsertOutcome[]> {
  const { tx, workspaceId, deps, requestId, actor } = context;
  const definitions = await activeFieldDefinitions(tx, workspaceId);
  const read = rows.map((row) => readRow(row, definitions));
  const emails = [...new Set(read.flatMap(({ email }) => (email === null ? [] : [email])))];
  const keys: ExternalId[] = read.flatMap((row) => row.externalIds);
  await lookUpOnly(tx);
  for (let attempt = 1; ; attempt++) {
    await tx.query('SAVEPOINT upsert');
    try {
      const held = await holdContacts(tx, workspaceId, await findByKeys(tx, workspaceId, emails, keys));
      const ids = held.map((contact) => contact.id);
      const owned = ids.length === 0 ? [] : await externalIdsOf(tx, workspaceId, ids);
      const byContact = new Map<string, ExternalId[]>();
      for (const { contactId, ...external } of owned) {
        byContact.set(contactId, [...(byContact.get(contactId) ?? []), external]);
      }
      const known = held.map((contact) => ({ ...contact, externalIds: byContact.get(contact.id) ?? [] }));
      const plan = new UpsertPlan(known, uuidv7);
      const outcomes = read.map((row) => plan.decide(row));
      const writes = plan.planned.map(({ addressChanged, ...write }) => ({
        ...write,
        emailHash: addressChanged ? deps.addressHasher.hash(write.profile.email) : null,
      }));
      // Two batches that make the same contacts meet in the same order.
      writes.sort((a, b) => (a.profile.email < b.profile.email ? -1 : 1));
      const from = { origin: 'API', originId: requestId, actorId: actor.userId } as const;
      if (writes.length > 0) await writeProfiles(tx, workspaceId, writes, from);
      await insertExternalIds(tx, workspaceId, plan.newExternalIds);
      return outcomes;
    } catch (error) {
      if (!(error instanceof ProfileConflict)) throw error;
      await tx.query('ROLLBACK TO SAVEPOINT upsert');
      if (attempt === MAX_ATTEMPTS) {
        throw new Problem('unavailable', 'The same contacts are being made by somebody else. Try again.', {
          headers: { 'Retry-After': '1' },
        });
      }
    }
  }
}

export const upsertRoutes = [
  defineRoute({
    method: 'post',
    path: `${CONTACTS}/upsert`,
    operationId: 'upsertContacts',
    tag: TAG,
    summary: 'Makes or changes up to 1,000 contacts',
    description:
      'A contact is found by any of its external ids, else by its address. Rows are applied in their order, all in one transaction; a row whose values are wrong is rejected by itself and the others are applied. A row that names different contacts by its keys is rejected. A contact found by an external id takes the address of its row. Neither consent nor status is touched.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    bodyLimit: 16 * 1024 * 1024,
    body: upsertRequest,
    responses: { 200: { description: 'What became of each row', schema: upsertAnswer } },
    async handle(context, { body }) {
      const outcomes = await upsert(context, body.contacts);
      const count = (status: UpsertOutcome['status']) => outcomes.filter((outcome) => outcome.status === status).length;
      const counts = {
        created: count('created'),
        updated: count('updated'),
        unchanged: count('unchanged'),
        rejected: count('rejected'),
      };
      await context.audit({ action: 'contact.upsert', entityType: 'contact', entityId: null, new: counts });
      return { status: 200, body: { ...counts, results: outcomes.map(show) } };
    },
  }),
];

function show(outcome: UpsertOutcome, index: number): z.input<typeof result> {
  if (outcome.status !== 'rejected') {
    return { index, status: outcome.status, contact_id: outcome.contactId, error: null };
  }
  return {
    index,
    status: 'rejected',
    contact_id: null,
    error: {
      code: outcome.code,
      errors: outcome.errors.map(({ pointer, detail }) => ({ pointer: `/contacts/${index}${pointer}`, detail })),
      contact_ids: [...outcome.contactIds],
    },
  };
}
