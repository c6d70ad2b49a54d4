import { csvRow } from './csv-writer';

export const EXPORT_FORMATS = ['csv', 'ndjson'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** A contact as exports write it; `consents` by key of the purpose. */
export interface ExportedContact {
  id: string;
  email: string;
  status: string;
  first_name: string;
  last_name: string;
  locale: string | null;
  time_zone: string | null;
  tags: string[];
  fields: Record<string, unknown>;
  consents: Record<string, string>;
  created_at: string;
  updated_at: string;
}

/** What a file has a column for, besides the built-in ones; chosen when the export was asked for. */
export interface ExportColumns {
  fields: readonly string[];
  /** Keys of purposes. */
  consents: readonly string[];
}

const BUILT_IN = ['id', 'email', 'status', 'first_name', 'last_name', 'locale', 'time_zone', 'tags'] as const;

/** What a file begins with. */
export function exportHead(format: ExportFormat, { fields, consents }: ExportColumns): string {
  if (format === 'ndjson') return '';
  const own = [...fields.map((name) => `fields.${name}`), ...consents.map((key) => `consents.${key}`)];
  return csvRow([...BUILT_IN, ...own, 'created_at', 'updated_at']);
}

/**
 * One contact as a line. CSV for spreadsheets: tags and lists joined by semicolons, formulas neutralised; the column
 * names are those that an import understands. NDJSON: values as they are.
 */
export function exportLine(format: ExportFormat, columns: ExportColumns, contact: ExportedContact): string {
  if (format === 'ndjson') return `${JSON.stringify(contact)}\n`;
  const { id, email, status, first_name, last_name, locale, time_zone, tags } = contact;
  return csvRow([
    ...[id, email, status, first_name, last_name, locale ?? '', time_zone ?? '', tags.join(';')],
    ...columns.fields.map((name) => cellOf(contact.fields[name])),
    ...columns.consents.map((key) => contact.consents[key] ?? ''),
    contact.created_at,
    contact.updated_at,
  ]);
}

function cellOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(String).join(';');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
