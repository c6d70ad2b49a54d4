import * as fc from 'fast-check';
import { mergeChanges, mergedStatus } from './merge';
import { MAX_TAGS } from './names-and-tags';
import { applySubmission, EMPTY_PROFILE, type Profile } from './submissions';

describe('mergedStatus', () => {
  it.each([
    ['ACTIVE', 'ACTIVE', 'ACTIVE'],
    ['ACTIVE', 'UNSUBSCRIBED', 'UNSUBSCRIBED'],
    ['ACTIVE', 'BOUNCED', 'ACTIVE'],
    ['BOUNCED', 'ACTIVE', 'BOUNCED'],
    ['BOUNCED', 'UNSUBSCRIBED', 'UNSUBSCRIBED'],
    ['UNSUBSCRIBED', 'BOUNCED', 'UNSUBSCRIBED'],
    ['UNSUBSCRIBED', 'COMPLAINED', 'COMPLAINED'],
    ['COMPLAINED', 'ACTIVE', 'COMPLAINED'],
  ] as const)('%s and %s make %s', (survivor, other, merged) => {
    expect(mergedStatus(survivor, other)).toBe(merged);
  });
});

describe('mergeChanges', () => {
  const text = fc.option(fc.constantFrom('a', 'b'), { nil: null });
  const tags = fc.array(fc.stringMatching(/^[a-z]{1,2}$/), { maxLength: 90 }).map((list) => [...new Set(list)].sort());
  const fields = fc.dictionary(fc.constantFrom('p', 'q', 'r', 's'), fc.string({ maxLength: 14_000, size: 'max' }));
  const profile: fc.Arbitrary<Profile> = fc.record({
    email: fc.constant('x@y.example'),
    firstName: text,
    lastName: text,
    locale: text,
    timeZone: text,
    tags,
    fields: fields.filter((snapshot) => Buffer.byteLength(JSON.stringify(snapshot)) <= 32_768),
  });

  it('keeps what the survivor says, fills gaps, and gives what can be stored', () => {
    fc.assert(
      fc.property(profile, profile, (survivor, other) => {
        const merged = applySubmission(survivor, mergeChanges(survivor, other));
        expect(merged.email).toBe(survivor.email);
        expect(merged.firstName).toBe(survivor.firstName ?? other.firstName);
        expect(merged.fields).toMatchObject(survivor.fields);
        expect(Buffer.byteLength(JSON.stringify(merged.fields))).toBeLessThanOrEqual(32_768);
        expect(merged.tags).toEqual(expect.arrayContaining([...survivor.tags]));
        expect(merged.tags.length).toBeLessThanOrEqual(MAX_TAGS);
        expect(mergeChanges(merged, other).tags === undefined || merged.tags.length === MAX_TAGS).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('changes nothing where the other one has nothing', () => {
    expect(mergeChanges({ ...EMPTY_PROFILE, firstName: 'Ada' }, EMPTY_PROFILE)).toEqual({});
  });
});
