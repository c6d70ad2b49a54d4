import * as fc from 'fast-check';
import type { FieldDefinition, FieldType } from './field-definitions';
import { checkValue, readCell } from './field-values';
import { applyFieldChanges, definitionProblems, snapshotProblem, validateFields } from './fields';

function definition(key: string, type: FieldType, more: Partial<FieldDefinition> = {}): FieldDefinition {
  return { key, type, required: false, ...more };
}

describe('checkValue', () => {
  it.each<[FieldType, unknown, unknown]>([
    ['text', 'Zoe\u0308', 'Zoë'],
    ['number', 12.5, 12.5],
    ['boolean', false, false],
    ['date', '2024-02-29', '2024-02-29'],
    ['datetime', '2026-03-29T02:30:00+02:00', '2026-03-29T00:30:00.000Z'],
    ['datetime', '2026-03-29 02:30', '2026-03-29T02:30:00.000Z'],
    ['url', 'https://example.org/a?b=c', 'https://example.org/a?b=c'],
    ['list', ['a', 'b'], ['a', 'b']],
  ])('%s accepts %j', (type, input, value) => {
    expect(checkValue(definition('f', type), input)).toEqual({ ok: true, value });
  });

  it.each<[FieldType, unknown]>([
    ['text', 5],
    ['text', 'a\0b'],
    ['text', '\ud800'],
    ['text', 'a'.repeat(10_001)],
    ['number', '5'],
    ['number', Number.NaN],
    ['number', Number.POSITIVE_INFINITY],
    ['boolean', 'yes'],
    ['date', '2023-02-29'],
    ['date', '31/31/2020'],
    ['date', '2020-1-1'],
    ['datetime', '2026-03-29'],
    ['datetime', '2026-03-29T25:00:00Z'],
    ['datetime', '2026-02-30T12:00:00Z'],
    ['datetime', '0001-01-01T00:00:00+14:00'],
    ['datetime', '9999-12-31T23:00:00-02:00'],
    ['url', 'javascript:alert(1)'],
    ['url', 'ftp://example.org'],
    ['url', 'https://'],
    ['list', 'a'],
    ['list', [1]],
    ['list', Array.from({ length: 201 }, () => 'x')],
  ])('%s refuses %j', (type, input) => {
    expect(checkValue(definition('f', type), input).ok).toBe(false);
  });

  it('enum accepts its options only', () => {
    const plan = definition('plan', 'enum', { options: ['free', 'pro'] });
    expect(checkValue(plan, 'pro').ok).toBe(true);
    expect(checkValue(plan, 'Pro')).toEqual({ ok: false, message: 'must be one of free, pro' });
  });
});

describe('readCell', () => {
  it.each<[FieldType, string, unknown]>([
    ['number', '1e3', 1000],
    ['number', '-.5', -0.5],
    ['boolean', 'Yes', true],
    ['boolean', '0', false],
    ['date', '2020-01-31', '2020-01-31'],
    ['list', 'a; b |c\nd;', ['a', 'b', 'c', 'd']],
  ])('%s reads %j', (type, cell, value) => {
    expect(readCell(definition('f', type), cell)).toEqual({ ok: true, value });
  });

  it.each<[FieldType, string]>([
    ['number', 'many'],
    ['number', '1,000'],
    ['number', '0x10'],
    ['number', '1e999'],
    ['boolean', 'maybe'],
    ['date', '31/31/2020'],
  ])('%s refuses %j', (type, cell) => {
    expect(readCell(definition('f', type), cell).ok).toBe(false);
  });

  it('reads an option in any case', () => {
    expect(readCell(definition('plan', 'enum', { options: ['Free', 'Pro'] }), 'PRO')).toEqual({
      ok: true,
      value: 'Pro',
    });
  });

  it('takes only what checkValue takes, for any cell', () => {
    const types: FieldType[] = ['text', 'number', 'boolean', 'date', 'datetime', 'url', 'list'];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.string({ unit: 'grapheme' }), (type, cell) => {
        const read = readCell(definition('f', type), cell);
        if (read.ok) expect(checkValue(definition('f', type), read.value)).toEqual(read);
      }),
    );
  });
});

describe('definitionProblems', () => {
  it.each<[FieldDefinition, string[]]>([
    [definition('plan', 'enum', { options: ['free', 'pro'], defaultValue: 'free' }), []],
    [definition('seats', 'number', { defaultValue: 1 }), []],
    [definition('Plan', 'text'), ['key']],
    [definition('first_name', 'text'), ['key']],
    [definition('constructor', 'text'), ['key']],
    [definition('__proto__', 'text'), ['key']],
    [definition('plan', 'enum'), ['options']],
    [definition('plan', 'enum', { options: ['a', 'a'] }), ['options']],
    [definition('plan', 'text', { options: ['a'] }), ['options']],
    [definition('seats', 'number', { defaultValue: 'many' }), ['defaultValue']],
  ])('%j: %j', (input, fields) => {
    expect(definitionProblems(input).map(({ field }) => field)).toEqual(fields);
  });
});

describe('validateFields', () => {
  const definitions = [
    definition('plan', 'enum', { options: ['free', 'pro'], defaultValue: 'free' }),
    definition('seats', 'number', { required: true }),
    definition('note', 'text'),
  ];

  it('create fills defaults, drops nulls and asks for what is required', () => {
    expect(validateFields(definitions, { seats: 3, note: null }, { mode: 'create' })).toEqual({
      ok: true,
      fields: { plan: 'free', seats: 3 },
    });
    expect(validateFields(definitions, {}, { mode: 'create' })).toEqual({
      ok: false,
      errors: [{ field: 'seats', message: 'is required' }],
    });
  });

  it('update touches only what is given', () => {
    expect(validateFields(definitions, { note: null }, { mode: 'update' })).toEqual({
      ok: true,
      fields: { note: null },
    });
    expect(validateFields(definitions, { seats: null }, { mode: 'update' })).toMatchObject({ ok: false });
  });

  it('reports every error', () => {
    const checked = validateFields(definitions, { plan: 'gold', seats: 'x', colour: 'red' }, { mode: 'create' });
    expect(checked.ok ? [] : checked.errors.map(({ field }) => field).sort()).toEqual(['colour', 'plan', 'seats']);
  });

  it('is not fooled by names of Object.prototype', () => {
    expect(validateFields(definitions, { seats: 1, toString: 'x' }, { mode: 'create' })).toMatchObject({ ok: false });
    expect(validateFields([definition('valueof', 'text', { required: true })], {}, { mode: 'create' })).toMatchObject({
      ok: false,
    });
  });
});

describe('snapshots', () => {
  it('are bounded', () => {
    expect(snapshotProblem({ note: 'a'.repeat(1_000) })).toBeNull();
    expect(snapshotProblem({ note: 'ä'.repeat(17_000) })).toMatchObject({ field: 'fields' });
  });

  it('have one JSON per content', () => {
    expect(JSON.stringify(applyFieldChanges({ b: 1, c: 2 }, { a: 3, c: null }))).toBe('{"a":3,"b":1}');
  });
});
