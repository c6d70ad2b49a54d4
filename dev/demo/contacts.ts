import { writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { CONTACT_FIELDS, writeContacts } from '../samples/contacts';
import { counted, type Narrator, thousands } from './narrator';
import type { Company } from './people';
import { waitFor } from './wait';

const count = z.number();
const importDocument = z.object({
  id: z.string(),
  status: z.enum(['QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED']),
  progress: z.object({
    rows_total: count.nullable(),
    rows_done: count,
    created: count,
    updated: count,
    unchanged: count,
    rejected: count,
    skipped_cells: count,
    consents_granted: count,
  }),
  error: z.object({ message: z.string() }).nullable(),
  workflow: z.object({ ui_url: z.string() }),
});
type ImportDocument = z.output<typeof importDocument>;

const IMPORT_LIMIT_MS = 120_000;

export interface ImportResult {
  rows: number;
  /** Rows that became, or are, a contact. */
  imported: number;
  rejected: number;
  /** Rejected rows by the code of their reason, as the file of rejections has them. */
  reasons: Record<string, number>;
}

/** Uploads a CSV with the dirt of real exports, tries it out, imports it, and reads what was rejected. */
export async function importContacts(
  narrator: Narrator,
  company: Company,
  options: { rows: number; file: string },
): Promise<ImportResult> {
  const { marketer } = company.as;
  const csv = await contactCsv(options.rows);
  writeFileSync(options.file, csv);
  narrator.say(`The file: ${options.file}`);
  await defineFields(company);
  const upload = await marketer.request('POST', `${company.path}/uploads?filename=contacts.csv`, identified, {
    body: csv,
    contentType: 'text/csv',
  });
  const request = {
    upload_id: upload.id,
    on_invalid_field: 'skip-field',
    consent: { purpose: 'newsletter', statement: 'Newsletter box of the web shop, ticked by the customer' },
  };
  const trial = await runImport(narrator, company, 'Dry run', { ...request, dry_run: true });
  const { created, rejected } = trial.progress;
  narrator.say(
    `It would create ${counted(created, 'contact')} and reject ${counted(rejected, 'row')}. Nothing is written yet.`,
  );
  const done = await runImport(narrator, company, 'Import ', request);
  return explainImport(narrator, company, done);
}

const identified = z.object({ id: z.string() });

async function contactCsv(rows: number): Promise<string> {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, next) {
      chunks.push(chunk);
      next();
    },
  });
  await writeContacts(stream, rows);
  return Buffer.concat(chunks).toString('utf8');
}

/** The custom fields that the file has columns for, where they don't exist yet. */
async function defineFields(company: Company): Promise<void> {
  const { marketer } = company.as;
  const known = await marketer.all(`${company.path}/contact-fields`, z.object({ name: z.string() }));
  for (const field of CONTACT_FIELDS) {
    if (known.some(({ name }) => name === field.key)) continue;
    const enum_values = 'options' in field ? field.options : null;
    const definition = { name: field.key, label: field.label, type: field.type, enum_values };
    await marketer.post(`${company.path}/contact-fields`, z.unknown(), definition);
  }
}

async function runImport(
  narrator: Narrator,
  company: Company,
  label: string,
  request: Record<string, unknown>,
): Promise<ImportDocument> {
  const { marketer } = company.as;
  const started = await marketer.post(`${company.path}/imports`, importDocument, request);
  const path = `${company.path}/imports/${started.id}`;
  const total = await waitFor('the check of the file', IMPORT_LIMIT_MS, async () => {
    const { progress, status } = await marketer.get(path, importDocument);
    return progress.rows_total ?? (status === 'FAILED' ? 0 : undefined);
  });
  const bar = narrator.bar(label, total);
  const ended = await waitFor('the import', IMPORT_LIMIT_MS, async () => {
    const seen = await marketer.get(path, importDocument);
    bar.set(seen.progress.rows_done);
    return seen.status === 'QUEUED' || seen.status === 'RUNNING' ? undefined : seen;
  });
  bar.end();
  if (ended.status !== 'DONE') throw new Error(`The import ended ${ended.status}: ${ended.error?.message ?? ''}`);
  return ended;
}

async function explainImport(narrator: Narrator, company: Company, done: ImportDocument): Promise<ImportResult> {
  const { created, updated, unchanged, rejected, skipped_cells, consents_granted } = done.progress;
  const rows = done.progress.rows_total ?? 0;
  narrator.say(
    `${thousands(created)} created, ${thousands(updated)} updated, ${thousands(unchanged)} as they were, ` +
      `${thousands(rejected)} rejected; ${counted(consents_granted, 'consent')} recorded with their basis.`,
  );
  narrator.say(`${counted(skipped_cells, 'cell')} left out, such as the time zone Mars/Olympus.`);
  const rejections = await readRejections(company, done.id);
  const reasons: Record<string, number> = {};
  narrator.say('Rejected, with the reason:');
  for (const rejection of rejections) {
    const before = reasons[rejection.code] ?? 0;
    reasons[rejection.code] = before + 1;
    if (before > 0) continue;
    const total = rejections.filter(({ code }) => code === rejection.code).length;
    narrator.say(`  ${rejection.code} ×${total}: row ${rejection.row}, ${rejection.message}`);
  }
  narrator.say(`How it ran: ${done.workflow.ui_url}`);
  return { rows, imported: created + updated + unchanged, rejected, reasons };
}

const rejectionRow = z.object({ row_number: z.string(), code: z.string(), message: z.string() });

async function readRejections(company: Company, importId: string) {
  const csv = await company.as.marketer.text('GET', `${company.path}/imports/${importId}/rejected.csv`);
  const records: unknown = parse(csv, { columns: true, relax_column_count: true });
  return z
    .array(rejectionRow)
    .parse(records)
    .map(({ row_number, code, message }) => ({ row: row_number, code, message }));
}
