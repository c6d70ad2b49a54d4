import fc from 'fast-check';
import { parseConditions, trackedChanges } from '../../domain/audiences';
import { type AudienceWorld, EVENT_TYPES, ORIGINS, PLANS, TAGS, URLS, WORDS, ZONES } from './audience-world';

/** Random trees over everything that a world of contacts has; `tracked`: those that can be calculated by changes alone. */
export function randomTrees(world: () => AudienceWorld): Record<'trees' | 'tracked', fc.Arbitrary<unknown>> {
  const duration = fc.record({
    amount: fc.integer({ min: 1, max: 12 }),
    unit: fc.constantFrom('hours', 'days', 'weeks'),
  });
  const days = fc.record({ amount: fc.integer({ min: 1, max: 6 }), unit: fc.constantFrom('days', 'weeks') });
  const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined, freq: 1 });
  const relative = fc.constantFrom('within_last', 'within_next', 'older_than');
  const near = fc.integer({ min: -6 * 24, max: 6 * 24 });
  const momentNear = near.map((hours) => new Date(world().now.getTime() + hours * 3_600_000).toISOString());
  const dateNear = momentNear.map((text) => text.slice(0, 10));
  const textComparison = (words: readonly string[]) =>
    fc.oneof(
      fc.record({
        operator: fc.constantFrom('equals', 'contains', 'starts_with', 'ends_with'),
        value: fc.constantFrom(...words),
      }),
      fc.record({ operator: fc.constant('one_of'), value: fc.subarray([...words], { minLength: 1 }) }),
      fc.constant({ operator: 'missing' }),
    );
  const listComparison = fc.oneof(
    fc.record({ operator: fc.constant('contains'), value: fc.constantFrom(...TAGS) }),
    fc.record({
      operator: fc.constantFrom('contains_any', 'contains_all'),
      value: fc.subarray(TAGS, { minLength: 1 }),
    }),
    fc.constant({ operator: 'missing' }),
  );
  const momentComparison = fc.oneof(
    fc.record({ operator: fc.constantFrom('before', 'after'), value: momentNear }),
    fc.record({ operator: fc.constant('on_date'), value: dateNear }),
    fc.record({ operator: relative, value: duration }),
    fc.constant({ operator: 'missing' }),
  );
  const custom = <T extends object>(field: string, comparison: fc.Arbitrary<T>) =>
    comparison.map((value) => ({ type: 'custom_field', field, ...value }));
  const builtIn = <T extends object>(field: string, comparison: fc.Arbitrary<T>) =>
    comparison.map((value) => ({ type: 'field', field, ...value }));
  const key = fc.constantFrom('newsletter', 'offers');

  const leaf = fc.oneof(
    builtIn('email', textComparison(['example', 'mail.example', '0'])),
    builtIn('email_domain', textComparison(['example.com', 'example'])),
    builtIn('first_name', textComparison(WORDS)),
    builtIn('last_name', textComparison(WORDS)),
    builtIn('locale', textComparison(['de', 'en-GB', 'en'])),
    builtIn('time_zone', textComparison(ZONES)),
    builtIn('status', textComparison(['ACTIVE', 'BOUNCED'])),
    builtIn('tags', listComparison),
    builtIn('created_at', momentComparison),
    custom('plan', fc.record({ operator: fc.constantFrom('equals'), value: fc.constantFrom(...PLANS) })),
    custom('plan', fc.record({ operator: fc.constant('one_of'), value: fc.subarray(PLANS, { minLength: 1 }) })),
    custom(
      'seats',
      fc.record({
        operator: fc.constantFrom('equals', 'less_than', 'at_most', 'greater_than', 'at_least'),
        value: fc.constantFrom(-1, 0, 2, 2.5, 3),
      }),
    ),
    custom('seats', fc.constant({ operator: 'missing' })),
    custom('vip', fc.record({ operator: fc.constant('equals'), value: fc.boolean() })),
    custom('birthday', fc.record({ operator: fc.constantFrom('equals', 'before', 'after'), value: dateNear })),
    custom('birthday', fc.record({ operator: relative, value: days })),
    custom('birthday', fc.constant({ operator: 'missing' })),
    custom('last_login', momentComparison),
    custom('interests', listComparison),
    custom('note', textComparison(WORDS)),
    custom('site', textComparison([...URLS, 'SHOP'])),
    fc.record({
      type: fc.constant('consent'),
      purpose: key,
      status: fc.constantFrom('granted', 'denied', 'pending', 'none'),
    }),
    fc.record({ type: fc.constant('category'), category: key, subscribed: fc.boolean() }),
    fc.constantFrom(0, 1).map((index) => ({ type: 'audience', audience_id: world().audienceIds[index] })),
    fc.record({
      type: fc.constant('submission'),
      origin: optional(fc.constantFrom(...ORIGINS)),
      at_least: optional(fc.integer({ min: 1, max: 3 })),
      within: optional(duration),
    }),
    fc.record({
      type: fc.constant('event'),
      event_type: fc.constantFrom(...EVENT_TYPES, 'never_seen'),
      at_least: optional(fc.integer({ min: 1, max: 3 })),
      within: optional(duration),
    }),
    fc
      .record({
        type: fc.constant('engagement'),
        activity: fc.constantFrom('opened', 'clicked', 'bounced', 'received', 'nothing_received'),
        campaign: optional(fc.constantFrom(0, 1)),
        url: optional(fc.constantFrom(...URLS, 'https://elsewhere.example/')),
        within: optional(duration),
      })
      .map(({ campaign, url, ...rest }) => ({
        ...rest,
        ...(campaign === undefined ? {} : { campaign_id: world().campaignIds[campaign] }),
        ...(rest.activity === 'clicked' && url !== undefined ? { url } : {}),
      })),
  );

  const nested = (leaves: fc.Arbitrary<unknown>) =>
    fc.letrec<{ node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 5, withCrossShrink: true },
        leaves,
        fc.record({ all: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ any: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ not: tie('node') }),
      ),
    })).node;
  /** Groups at the top, so that most trees have several conditions. */
  const grouped = (node: fc.Arbitrary<unknown>) =>
    fc.oneof(
      node,
      fc.record({ all: fc.array(node, { minLength: 2, maxLength: 4 }) }),
      fc.record({ any: fc.array(node, { minLength: 2, maxLength: 4 }) }),
    );

  const isTracked = (given: unknown) => {
    const parsed = parseConditions(JSON.parse(JSON.stringify(given)));
    return parsed.ok && trackedChanges(parsed.tree) !== null;
  };
  return { trees: grouped(nested(leaf)), tracked: grouped(nested(leaf.filter(isTracked))) };
}
