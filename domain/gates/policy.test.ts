import fc from 'fast-check';
import { type GateCondition, judgeGate, requiredFields } from './policy';

const NEWS: GateCondition = { type: 'consent', purposeId: 'news' };
const CLUB: GateCondition = { type: 'audience', audienceId: 'club' };
const NAME: GateCondition = { type: 'fields', names: ['first_name', 'company'] };
const facts = (more: { consents?: string[]; audiences?: string[]; fields?: string[] }) => ({
  consents: new Set(more.consents),
  audiences: new Set(more.audiences),
  fields: new Set(more.fields),
});

test.each([
  ['no condition', 'all', [], {}, true],
  ['no condition of any', 'any', [], {}, true],
  ['consent missing', 'all', [NEWS], {}, false],
  ['consent given', 'all', [NEWS], { consents: ['news'] }, true],
  ['one of two, both needed', 'all', [NEWS, CLUB], { consents: ['news'] }, false],
  ['one of two, one needed', 'any', [NEWS, CLUB], { audiences: ['club'] }, true],
  ['none of two, one needed', 'any', [NEWS, CLUB], { audiences: ['other'] }, false],
  ['some of the fields', 'all', [NAME], { fields: ['first_name'] }, false],
  ['all of the fields', 'all', [NAME], { fields: ['company', 'first_name'] }, true],
] as const)('%s', (_what, match, conditions, known, open) => {
  const copy = facts(known as Parameters<typeof facts>[0]);
  expect(judgeGate({ match, conditions }, copy).open).toBe(open);
});

test('a verdict names every condition', () => {
  const { verdicts } = judgeGate({ match: 'any', conditions: [NEWS, CLUB] }, facts({ audiences: ['club'] }));
  expect(verdicts).toEqual([
    { condition: NEWS, met: false },
    { condition: CLUB, met: true },
  ]);
});

test('more facts never close a gate', () => {
  const ids = fc.subarray(['a', 'b', 'c']);
  const condition = fc.oneof(
    fc.record({ type: fc.constant('consent' as const), purposeId: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ type: fc.constant('audience' as const), audienceId: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ type: fc.constant('fields' as const), names: fc.subarray(['a', 'b', 'c'], { minLength: 1 }) }),
  );
  const known = fc.record({ consents: ids, audiences: ids, fields: ids });
  fc.assert(
    fc.property(
      fc.constantFrom('all' as const, 'any' as const),
      fc.array(condition),
      known,
      known,
      (match, conditions, a, b) => {
        const policy = { match, conditions };
        const both = facts({
          consents: [...a.consents, ...b.consents],
          audiences: [...a.audiences, ...b.audiences],
          fields: [...a.fields, ...b.fields],
        });
        if (judgeGate(policy, facts(a)).open) expect(judgeGate(policy, both).open).toBe(true);
      },
    ),
  );
});

test('fields have to be submitted only where all conditions must be met', () => {
  expect(requiredFields({ match: 'all', conditions: [NAME, NEWS, NAME] })).toEqual(['first_name', 'company']);
  expect(requiredFields({ match: 'any', conditions: [NAME] })).toEqual([]);
});
