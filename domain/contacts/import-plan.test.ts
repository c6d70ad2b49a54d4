import * as fc from 'fast-check';
import { mapHeaders } from './csv-mapping';
import { parseRow } from './csv-row';
import { planRow } from './import-plan';
import { applySubmission, EMPTY_PROFILE, type Profile } from './submissions';

const HEADERS = ['email', 'first_name', 'locale', 'time_zone', 'tags', 'plan', 'seats'];
const mapped = mapHeaders(HEADERS, [
  { key: 'plan', type: 'enum', required: false, options: ['free', 'pro'], defaultValue: 'free' },
  { key: 'seats', type: 'number', required: false },
]);
if (!mapped.ok) throw new Error('the headers cannot be mapped');
const { mapping } = mapped;

function plan(cells: string[], before: Profile | null, extraTags: string[] = []) {
  const row = parseRow(mapping, ['ada@x.example', ...cells]);
  if (!row.ok) throw new Error(row.message);
  return planRow(mapping, row.contact, before, extraTags);
}

const row = fc.tuple(
  fc.constantFrom('', 'Ada', 'Grace'),
  fc.constantFrom('', 'de', 'en-GB'),
  fc.constantFrom('', 'Europe/Berlin'),
  fc.constantFrom('', 'a', 'b;a'),
  fc.constantFrom('', 'pro'),
  fc.constantFrom('', '1', '2'),
);
const extra = fc.subarray(['x', 'a']);

describe('planRow', () => {
  it('plans the profile that its own submissions make, and nothing the second time', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), extra, (rows, tags) => {
        let profile: Profile | null = null;
        let folded: Profile = EMPTY_PROFILE;
        for (const cells of rows) {
          const planned = plan(cells, profile, tags);
          expect(planned.kind).not.toBe('reject');
          if (planned.kind === 'create' || planned.kind === 'update') {
            expect(planned.kind).toBe(profile === null ? 'create' : 'update');
            profile = planned.profile;
            folded = applySubmission(folded, planned.changes);
          }
          expect(folded).toEqual(profile);
          expect(plan(cells, profile, tags).kind).toBe('unchanged');
        }
      }),
    );
  });

  it('removes nothing by an empty cell, and adds tags', () => {
    const before = plan(['Ada', 'de', '', 'b', 'pro', '3'], null);
    if (before.kind !== 'create') throw new Error('not created');
    expect(plan(['', '', '', 'a', '', ''], before.profile, ['x'])).toMatchObject({
      kind: 'update',
      profile: { ...before.profile, tags: ['a', 'b', 'x'] },
      changes: { tags: { set: ['a', 'b', 'x'] } },
    });
  });

  it('refuses what would be too much together with what is there', () => {
    const tags = Array.from({ length: 100 }, (_, n) => `t${n}`);
    const before = { ...EMPTY_PROFILE, email: 'ada@x.example', tags };
    expect(plan(['', '', '', 'one more', '', ''], before)).toMatchObject({
      kind: 'reject',
      problem: { code: 'INVALID_TAGS' },
    });
  });

  it('asks required fields of new contacts only', () => {
    const strict = mapHeaders(['email'], [{ key: 'country', type: 'text', required: true }]);
    if (!strict.ok) throw new Error('the headers cannot be mapped');
    const parsed = parseRow(strict.mapping, ['ada@x.example']);
    if (!parsed.ok) throw new Error(parsed.message);
    expect(planRow(strict.mapping, parsed.contact, null, [])).toMatchObject({
      kind: 'reject',
      problem: { code: 'MISSING_REQUIRED_FIELD' },
    });
    expect(planRow(strict.mapping, parsed.contact, { ...EMPTY_PROFILE, email: 'ada@x.example' }, []).kind).toBe(
      'unchanged',
    );
  });
});
