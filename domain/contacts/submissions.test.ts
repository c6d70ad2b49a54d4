import * as fc from 'fast-check';
import {
  applySubmission,
  EMPTY_PROFILE,
  isEmptyChange,
  type Profile,
  type ProfileChanges,
  profileDifference,
  rebuildProfile,
} from './submissions';

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const clearable = fc.option(fc.string({ maxLength: 5 }), { nil: null });
const tags = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'));
const values = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.integer(),
  fc.boolean(),
  fc.array(fc.string({ maxLength: 2 }), { maxLength: 2 }),
);

const anyChanges: fc.Arbitrary<ProfileChanges> = fc.record({
  email: optional(fc.emailAddress()),
  firstName: optional(clearable),
  lastName: optional(clearable),
  locale: optional(clearable),
  timeZone: optional(clearable),
  tags: optional(fc.record({ set: optional(tags), add: optional(tags), remove: optional(tags) })),
  fields: optional(fc.dictionary(fc.constantFrom('k1', 'k2', 'k3'), fc.option(values, { nil: null }))),
});

describe('the profile', () => {
  it('rebuilt from its submissions is the snapshot kept beside them', () => {
    fc.assert(
      fc.property(fc.array(anyChanges, { maxLength: 12 }), (submissions) => {
        let snapshot: Profile = EMPTY_PROFILE;
        const stored: string[] = [];
        for (const changes of submissions) {
          // What is stored is JSON: undefined is gone, null is not.
          stored.push(JSON.stringify(changes));
          snapshot = applySubmission(snapshot, changes);
        }
        const rebuilt = rebuildProfile(stored.map((text): ProfileChanges => JSON.parse(text)));
        expect(JSON.stringify(rebuilt)).toBe(JSON.stringify(snapshot));
      }),
    );
  });

  it('can be brought to any other by one submission, and by an empty one to itself', () => {
    fc.assert(
      fc.property(anyChanges, anyChanges, (one, other) => {
        const before = applySubmission(EMPTY_PROFILE, one);
        const after = applySubmission(before, other);
        expect(applySubmission(before, profileDifference(before, after))).toEqual(after);
        expect(isEmptyChange(profileDifference(after, after))).toBe(true);
      }),
    );
  });

  it('changes by one submission as written', () => {
    const profile = rebuildProfile([
      { email: 'ada@example.org', firstName: 'Ada', tags: { set: ['vip'] }, fields: { plan: 'free', seats: 1 } },
      { lastName: 'Lovelace', tags: { add: ['berlin'] }, fields: { plan: 'pro', seats: null } },
    ]);
    expect(profile).toEqual({
      ...EMPTY_PROFILE,
      email: 'ada@example.org',
      firstName: 'Ada',
      lastName: 'Lovelace',
      tags: ['berlin', 'vip'],
      fields: { plan: 'pro' },
    });
  });
});
