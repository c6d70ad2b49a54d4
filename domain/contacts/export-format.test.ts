import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { csvRow } from './csv-writer';
import { type ExportedContact, exportHead, exportLine } from './export-format';

const COLUMNS = { fields: ['seats', 'colours', 'note'], consents: ['newsletter'] };
const ADA: ExportedContact = {
  id: '01a2',
  email: 'ada@contacts.example',
  status: 'ACTIVE',
  first_name: 'Ada; "the"',
  last_name: '=HYPERLINK("https://evil.example")',
  locale: 'en-GB',
  time_zone: null,
  tags: ['a', 'b'],
  fields: { seats: -3, colours: ['red', 'blue'], archived: 'not in the file' },
  consents: { newsletter: 'granted', other: 'denied' },
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-02T00:00:00.000Z',
};

test('CSV has a column for every field and purpose, and runs no formula', () => {
  const rows: string[][] = parse(exportHead('csv', COLUMNS) + exportLine('csv', COLUMNS, ADA));
  const [head = [], cells = []] = rows;
  expect(Object.fromEntries(head.map((name, index) => [name, cells[index]]))).toEqual({
    id: '01a2',
    email: 'ada@contacts.example',
    status: 'ACTIVE',
    first_name: 'Ada; "the"',
    last_name: `'=HYPERLINK("https://evil.example")`,
    locale: 'en-GB',
    time_zone: '',
    tags: 'a;b',
    'fields.seats': `'-3`,
    'fields.colours': 'red;blue',
    'fields.note': '',
    'consents.newsletter': 'granted',
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-02T00:00:00.000Z',
  });
});

test('NDJSON has one document per line, with values as they are', () => {
  expect(exportHead('ndjson', COLUMNS)).toBe('');
  const line = exportLine('ndjson', COLUMNS, ADA);
  expect(line.endsWith('\n')).toBe(true);
  expect(JSON.parse(line)).toEqual(ADA);
});

test('whatever the cells hold, a reader gets them back, and none begins like a formula', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 2 }), (cells) => {
      const [read = []]: string[][] = parse(csvRow(cells), { relax_column_count: true });
      expect(read.map((cell, index) => (cell === `'${cells[index]}` ? cells[index] : cell))).toEqual(cells);
      for (const cell of read) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
    }),
  );
});
