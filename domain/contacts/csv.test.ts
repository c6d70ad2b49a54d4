import * as fc from 'fast-check';
import { type HeaderMapping, mapHeaders } from './csv-mapping';
import { missingRequired, parseRow, ROW_REJECTIONS, withDefaults } from './csv-row';
import type { FieldDefinition } from './field-definitions';

const definitions: FieldDefinition[] = [
  { key: 'plan', type: 'enum', required: false, options: ['free', 'pro'], defaultValue: 'free' },
  { key: 'seats', type: 'number', required: false },
  { key: 'signed_up', type: 'date', required: false },
  { key: 'newsletter', type: 'boolean', required: false },
];

function mappingOf(headers: string[], explicit: Record<string, string | null> = {}): HeaderMapping {
  const mapped = mapHeaders(headers, definitions, explicit);
  if (!mapped.ok) throw new Error(JSON.stringify(mapped.errors));
  return mapped.mapping;
}

function targets(headers: string[], explicit: Record<string, string | null> = {}): Record<string, string> {
  return Object.fromEntries(mappingOf(headers, explicit).columns.map(({ header, target }) => [header, target]));
}

function codes(headers: string[], explicit: Record<string, string | null> = {}): string[] {
  const mapped = mapHeaders(headers, definitions, explicit);
  return mapped.ok ? [] : mapped.errors.map(({ code }) => code);
}

describe('mapHeaders', () => {
  it('guesses the usual names and the custom fields', () => {
    expect(
      targets(['Email', 'First name', 'Last name', 'Plan', 'Seats', 'Signed up', 'Time zone', 'Newsletter']),
    ).toEqual({
      Email: 'email',
      'First name': 'first_name',
      'Last name': 'last_name',
      Plan: 'fields.plan',
      Seats: 'fields.seats',
      'Signed up': 'fields.signed_up',
      'Time zone': 'time_zone',
      Newsletter: 'fields.newsletter',
    });
    expect(targets(['\ufeffE-Mail', 'VORNAME', 'Prénom2', 'fields.plan'])).toEqual({
      'E-Mail': 'email',
      VORNAME: 'first_name',
      'fields.plan': 'fields.plan',
    });
  });

  it('lets the user decide', () => {
    expect(targets(['Contact', 'Email', 'Note'], { Contact: 'email', Email: null, Note: 'plan' })).toEqual({
      Contact: 'email',
      Note: 'fields.plan',
    });
    expect(mappingOf(['Email', 'Plan'], { Plan: 'ignore' }).ignored).toEqual(['Plan']);
  });

  it('says what is wrong', () => {
    expect(codes([])).toEqual(['EMPTY_HEADER']);
    expect(codes(['', ' '])).toEqual(['EMPTY_HEADER']);
    expect(codes(['Name', 'Plan'])).toEqual(['NO_EMAIL_COLUMN']);
    expect(codes(['Email', 'E-mail'])).toEqual(['DUPLICATE_MAPPING']);
    expect(codes(['Email', 'X'], { X: 'colour' })).toEqual(['UNKNOWN_TARGET']);
    expect(codes(['Email', 'X'], { X: 'fields.first_name' })).toEqual(['UNKNOWN_TARGET']);
    expect(codes(['Email'], { Y: 'plan' })).toEqual(['UNKNOWN_COLUMN']);
    expect(codes(['Email', 'X', 'X'], { X: 'plan' })).toContain('AMBIGUOUS_COLUMN');
  });
});

describe('parseRow', () => {
  const mapping = mappingOf([
    'Email',
    'First name',
    'Last name',
    'Plan',
    'Seats',
    'Signed up',
    'Time zone',
    'Newsletter',
    'Lang',
    'Tags',
  ]);
  const good = [
    ' ADA@Example.org',
    'Ada',
    'Lovelace\nBranch office',
    'PRO',
    '5',
    '2020-01-31',
    'europe/berlin',
    'yes',
    'de_de',
    'b, a;a',
  ];

  it('reads a row', () => {
    expect(parseRow(mapping, good)).toEqual({
      ok: true,
      skipped: [],
      contact: {
        email: 'ada@example.org',
        domain: 'example.org',
        firstName: 'Ada',
        lastName: 'Lovelace Branch office',
        locale: 'de-DE',
        timeZone: 'Europe/Berlin',
        tags: ['a', 'b'],
        fields: { plan: 'pro', seats: 5, signed_up: '2020-01-31', newsletter: true },
      },
    });
  });

  it('takes an empty cell for no statement', () => {
    const row = parseRow(mapping, ['ada@example.org', ...Array.from({ length: 9 }, () => ' ')]);
    expect(row).toMatchObject({ ok: true, contact: { firstName: undefined, tags: undefined, fields: {} } });
  });

  it.each<[number, string, string, string]>([
    [0, '', 'MISSING_EMAIL', 'Email'],
    [0, 'Ada <ada@example.org>', 'INVALID_EMAIL', 'Email'],
    [1, 'x'.repeat(201), 'INVALID_NAME', 'First name'],
    [3, 'gold', 'INVALID_FIELD', 'Plan'],
    [4, 'many', 'INVALID_FIELD', 'Seats'],
    [5, '31/31/2020', 'INVALID_FIELD', 'Signed up'],
    [6, 'Mars/Olympus', 'INVALID_TIME_ZONE', 'Time zone'],
    [7, 'perhaps', 'INVALID_FIELD', 'Newsletter'],
    [8, 'klingon', 'INVALID_LOCALE', 'Lang'],
    [9, 'x'.repeat(101), 'INVALID_TAGS', 'Tags'],
    [2, 'x'.repeat(40_000), 'CELL_TOO_LARGE', 'Last name'],
  ])('rejects column %d when it is wrong: %.20s', (index, cell, code, column) => {
    const cells = good.with(index, cell);
    expect(parseRow(mapping, cells)).toMatchObject({ ok: false, code, column });
  });

  it('can leave a bad field out instead, but never a bad address', () => {
    const cells = good.with(4, 'many').with(6, 'Mars/Olympus');
    const row = parseRow(mapping, cells, { onInvalidField: 'skip-field' });
    expect(row.ok && row.skipped.map(({ code, column }) => [code, column])).toEqual([
      ['INVALID_FIELD', 'Seats'],
      ['INVALID_TIME_ZONE', 'Time zone'],
    ]);
    expect(row.ok && row.contact.timeZone).toBe(undefined);
    expect(parseRow(mapping, good.with(0, 'x'), { onInvalidField: 'skip-field' })).toMatchObject({
      code: 'INVALID_EMAIL',
    });
  });

  it('rejects rows of another width, but not for empty cells at the end', () => {
    expect(parseRow(mapping, good.slice(1))).toMatchObject({ ok: false, code: 'WRONG_COLUMN_COUNT' });
    expect(parseRow(mapping, [...good, 'x'])).toMatchObject({ ok: false, code: 'WRONG_COLUMN_COUNT' });
    expect(parseRow(mapping, [...good, '', ' '])).toMatchObject({ ok: true });
  });

  it('rejects more text than a profile holds', () => {
    const notes: FieldDefinition[] = ['a', 'b', 'c', 'd'].map((key) => ({ key, type: 'text', required: false }));
    const mapped = mapHeaders(['email', 'a', 'b', 'c', 'd'], notes);
    const cells = ['ada@example.org', ...Array.from({ length: 4 }, () => 'x'.repeat(9_000))];
    expect(mapped.ok && parseRow(mapped.mapping, cells)).toMatchObject({ ok: false, code: 'FIELDS_TOO_LARGE' });
  });

  it('gives new contacts their defaults, and asks for required fields', () => {
    expect(withDefaults(mapping, { seats: 2 })).toEqual({ seats: 2, plan: 'free' });
    expect(missingRequired(mapping, {})).toBeNull();
    const strict = mapHeaders(['email', 'Company'], [{ key: 'company', type: 'text', required: true }]);
    expect(strict.ok && missingRequired(strict.mapping, {})).toMatchObject({
      code: 'MISSING_REQUIRED_FIELD',
      column: 'Company',
    });
  });

  it('never throws, and rejects with a known code only', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 8, maxLength: 12 }), (cells) => {
        const row = parseRow(mapping, cells);
        if (!row.ok) expect(ROW_REJECTIONS).toContain(row.code);
      }),
    );
  });
});
