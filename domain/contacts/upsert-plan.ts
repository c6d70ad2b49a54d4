import { snapshotProblem } from './fields';
import {
  applySubmission,
  EMPTY_PROFILE,
  isEmptyChange,
  type Profile,
  type ProfileChanges,
  profileDifference,
} from './submissions';

/** An id that another system has for a contact. */
export interface ExternalId {
  readonly kind: string;
  readonly value: string;
}

export const EXTERNAL_ID_KIND = /^[a-z][a-z0-9_]{0,62}$/;
export const MAX_EXTERNAL_ID_LENGTH = 255;
/** Per contact. */
export const MAX_EXTERNAL_IDS = 20;

/** An external id as a key of a map; kinds have no space. */
export function externalIdKey({ kind, value }: ExternalId): string {
  return `${kind} ${value}`;
}

/** What is wrong with a row; the pointer is relative to the row ("/email"). */
export interface RowError {
  readonly pointer: string;
  readonly detail: string;
}

export type RejectionCode = 'invalid' | 'ambiguous' | 'address-taken' | 'too-large';

export type UpsertOutcome =
  | { readonly status: 'created' | 'updated' | 'unchanged'; readonly contactId: string }
  | {
      readonly status: 'rejected';
      readonly code: RejectionCode;
      readonly errors: readonly RowError[];
      /** Of an ambiguous row: the contacts that it names. */
      readonly contactIds: readonly string[];
    };

export interface UpsertRow {
  /** Normalised. */
  readonly email: string | null;
  readonly externalIds: readonly ExternalId[];
  /** Reads the row's values for a contact that is made, or changed. */
  read(mode: 'create' | 'update'): { ok: true; changes: ProfileChanges } | { ok: false; errors: readonly RowError[] };
}

/** A contact as the batch found it. */
export interface UpsertContact {
  readonly id: string;
  readonly profile: Profile & { readonly email: string };
  readonly externalIds: readonly ExternalId[];
}

/** What becomes of one contact. */
export interface PlannedWrite {
  readonly kind: 'create' | 'update';
  readonly contactId: string;
  profile: Profile & { email: string };
  addressChanged: boolean;
  readonly changes: ProfileChanges[];
}

interface Current {
  id: string;
  profile: Profile & { email: string };
  externalIds: ExternalId[];
  write: PlannedWrite | null;
}

/**
 * Decides, row after row, which contact a row means and what it changes; each row sees what those before it left. A
 * contact is found by any of its external ids, else by its address; keys that name different contacts are refused, never
 * guessed.
 */
export class UpsertPlan {
  /** New external ids, to be written after the contacts. */
  readonly newExternalIds: (ExternalId & { contactId: string })[] = [];
  private readonly byEmail = new Map<string, Current>();
  private readonly byExternalId = new Map<string, Current>();
  private readonly writes: PlannedWrite[] = [];
  /** Addresses that contacts leave in this batch: free only when it is written. */
  private readonly left = new Set<string>();

  constructor(
    known: readonly UpsertContact[],
    private readonly mintId: () => string,
  ) {
    for (const { id, profile, externalIds } of known) {
      const current: Current = { id, profile, externalIds: [...externalIds], write: null };
      this.byEmail.set(profile.email, current);
      for (const external of externalIds) this.byExternalId.set(externalIdKey(external), current);
    }
  }

  /** Contacts to write, in the order in which the batch first changed them. */
  get planned(): readonly PlannedWrite[] {
    return this.writes;
  }

  decide(row: UpsertRow): UpsertOutcome {
    const named = new Set<Current>();
    for (const external of row.externalIds) {
      const current = this.byExternalId.get(externalIdKey(external));
      if (current) named.add(current);
    }
    const [first, ...others] = named;
    if (others.length > 0) return ambiguous([...named]);
    const atAddress = row.email === null ? undefined : this.byEmail.get(row.email);
    if (first === undefined) {
      if (row.email === null) {
        const read = row.read('create');
        if (!read.ok) return rejected('invalid', read.errors);
        const what =
          row.externalIds.length > 0
            ? 'no contact has this external id yet, and a new one needs an address'
            : 'is required, or an external id';
        return rejected('invalid', [{ pointer: '/email', detail: what }]);
      }
      return atAddress ? this.change(atAddress, row) : this.create(row, row.email);
    }
    if (atAddress !== undefined && atAddress !== first) return ambiguous([first, atAddress]);
    return this.change(first, row);
  }

  private create(row: UpsertRow, email: string): UpsertOutcome {
    if (this.left.has(email)) return rejected('address-taken', [{ pointer: '/email', detail: LEFT }]);
    const read = row.read('create');
    if (!read.ok) return rejected('invalid', read.errors);
    const changes = { ...read.changes, email };
    const profile = { ...applySubmission(EMPTY_PROFILE, changes), email };
    const problem = snapshotProblem(profile.fields);
    if (problem) return rejected('too-large', [{ pointer: '/fields', detail: problem.message }]);
    if (row.externalIds.length > MAX_EXTERNAL_IDS) return tooMany();
    const id = this.mintId();
    const write: PlannedWrite = { kind: 'create', contactId: id, profile, addressChanged: true, changes: [changes] };
    const current: Current = { id, profile, externalIds: [], write };
    this.writes.push(write);
    this.byEmail.set(email, current);
    this.addExternalIds(current, row.externalIds);
    return { status: 'created', contactId: id };
  }

  private change(current: Current, row: UpsertRow): UpsertOutcome {
    const read = row.read('update');
    if (!read.ok) return rejected('invalid', read.errors);
    const wanted = applySubmission(
      current.profile,
      row.email === null ? read.changes : { ...read.changes, email: row.email },
    );
    const after = { ...wanted, email: wanted.email ?? current.profile.email };
    const problem = snapshotProblem(after.fields);
    if (problem) return rejected('too-large', [{ pointer: '/fields', detail: problem.message }]);
    const fresh = row.externalIds.filter((external) => !this.byExternalId.has(externalIdKey(external)));
    if (current.externalIds.length + fresh.length > MAX_EXTERNAL_IDS) return tooMany();
    const before = current.profile.email;
    if (after.email !== before && this.left.has(after.email)) {
      return rejected('address-taken', [{ pointer: '/email', detail: LEFT }]);
    }
    const changes = profileDifference(current.profile, after);
    this.addExternalIds(current, fresh);
    if (isEmptyChange(changes)) {
      return { status: fresh.length > 0 ? 'updated' : 'unchanged', contactId: current.id };
    }
    if (after.email !== before) {
      this.byEmail.delete(before);
      this.byEmail.set(after.email, current);
      this.left.add(before);
    }
    current.profile = after;
    if (current.write === null) {
      current.write = { kind: 'update', contactId: current.id, profile: after, addressChanged: false, changes: [] };
      this.writes.push(current.write);
    }
    current.write.profile = after;
    current.write.addressChanged ||= after.email !== before;
    current.write.changes.push(changes);
    return { status: 'updated', contactId: current.id };
  }

  private addExternalIds(current: Current, externalIds: readonly ExternalId[]): void {
    for (const external of externalIds) {
      const key = externalIdKey(external);
      if (this.byExternalId.has(key)) continue;
      this.byExternalId.set(key, current);
      current.externalIds.push(external);
      this.newExternalIds.push({ ...external, contactId: current.id });
    }
  }
}

const LEFT = 'another contact leaves this address in the same request; send this row in the next one';

function rejected(code: RejectionCode, errors: readonly RowError[]): UpsertOutcome {
  return { status: 'rejected', code, errors, contactIds: [] };
}

function tooMany(): UpsertOutcome {
  const detail = `a contact has at most ${MAX_EXTERNAL_IDS}`;
  return rejected('invalid', [{ pointer: '/external_ids', detail }]);
}

function ambiguous(named: readonly Current[]): UpsertOutcome {
  const detail = 'the keys of this row name different contacts; merge them, or leave a key away';
  return {
    status: 'rejected',
    code: 'ambiguous',
    errors: [{ pointer: '/external_ids', detail }],
    contactIds: named.map(({ id }) => id).sort(),
  };
}
