import type { ImportRejection } from '../../db/contacts';
import { type HeaderMapping, type ImportedContact, parseRow } from '../../domain/contacts';
import type { AddressHasher } from '../../platform/crypto';
import type { RowPosition, SourceBatch } from './import-source';

/** A row that could be read. */
export interface ReadableRow {
  row: number;
  cells: readonly string[];
  contact: ImportedContact;
  emailHash: Buffer;
}

/** Rows of the file, read and judged by themselves; what they do depends on what is in the database. */
export interface PreparedBatch {
  rows: ReadableRow[];
  rejections: ImportRejection[];
  skippedCells: number;
  /** Rows of the file in this batch. */
  count: number;
  end: RowPosition;
  last: boolean;
  /** Names an address that the batch before names as well, so it has to wait for that one. */
  repeatsEarlier: boolean;
}

export function prepareBatch(
  mapping: HeaderMapping,
  source: SourceBatch,
  onInvalidField: 'reject' | 'skip-field',
  hasher: AddressHasher,
  earlier: PreparedBatch | null,
): PreparedBatch {
  const rows: ReadableRow[] = [];
  const rejections: ImportRejection[] = [];
  let skippedCells = 0;
  for (const { row, cells } of source.rows) {
    const parsed = parseRow(mapping, cells, { onInvalidField });
    if (parsed.ok) {
      skippedCells += parsed.skipped.length;
      rows.push({ row, cells, contact: parsed.contact, emailHash: hasher.hash(parsed.contact.email) });
    } else {
      rejections.push({ row, code: parsed.code, column: parsed.column, message: parsed.message, cells });
    }
  }
  const { end, last } = source;
  const repeatsEarlier = earlier !== null && haveCommonAddress(earlier.rows, rows);
  return { rows, rejections, skippedCells, count: source.rows.length, end, last, repeatsEarlier };
}

function haveCommonAddress(some: readonly ReadableRow[], others: readonly ReadableRow[]): boolean {
  const addresses = new Set(some.map(({ contact }) => contact.email));
  return others.some(({ contact }) => addresses.has(contact.email));
}
