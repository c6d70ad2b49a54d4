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
}

export function prepareBatch(
  mapping: HeaderMapping,
  source: SourceBatch,
  onInvalidField: 'reject' | 'skip-field',
  hasher: AddressHasher,
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
  return { rows, rejections, skippedCells, count: source.rows.length, end: source.end, last: source.last };
}
