import type { Condition, ConditionTree } from './conditions';
import { trackedChanges } from './tracked';

const named: Condition = { type: 'field', field: 'first_name', operator: 'equals', value: 'Ada' };
const week = { amount: 1, unit: 'weeks' } as const;
const audience_id = '01900000-0000-7000-8000-000000000000';

describe('what tells of changes', () => {
  test('is gathered from all conditions of a tree', () => {
    const tree: ConditionTree = {
      all: [
        named,
        {
          not: {
            any: [
              { type: 'event', event_type: 'purchase' },
              { type: 'audience', audience_id },
            ],
          },
        },
        { type: 'engagement', activity: 'clicked', url: 'https://shop.example/' },
        { type: 'event', event_type: 'purchase', at_least: 3 },
      ],
    };
    const nothing = { eventTypes: [], usesAudiences: [], engagement: false, outcomes: false };
    expect(trackedChanges(tree)).toEqual({
      ...{ eventTypes: ['purchase'], usesAudiences: [audience_id] },
      ...{ engagement: true, outcomes: false },
    });
    expect(trackedChanges(named)).toEqual(nothing);
    for (const activity of ['received', 'nothing_received'] as const) {
      expect(trackedChanges({ type: 'engagement', activity })).toEqual({ ...nothing, outcomes: true });
    }
    // A provider may report it after the message was accepted.
    const bounced = trackedChanges({ not: { type: 'engagement', activity: 'bounced' } });
    expect(bounced).toEqual({ ...nothing, eventTypes: ['email_bounced'], outcomes: true });
  });

  const untracked: Condition[] = [
    { type: 'field', field: 'status', operator: 'equals', value: 'ACTIVE' },
    { type: 'field', field: 'created_at', operator: 'within_last', value: week },
    { type: 'custom_field', field: 'renewal', operator: 'older_than', value: week },
    { type: 'consent', purpose: 'newsletter', status: 'pending' },
    { type: 'consent', purpose: 'newsletter', status: 'none' },
    { type: 'category', category: 'offers', subscribed: true },
    { type: 'submission', within: week },
    { type: 'event', event_type: 'purchase', within: week },
    { type: 'engagement', activity: 'opened', within: week },
    { type: 'engagement', activity: 'bounced', within: week },
    { type: 'engagement', activity: 'nothing_received', within: week },
  ];
  test.each(untracked)('is nothing for a tree with %j, wherever it stands', (condition) => {
    expect(trackedChanges({ any: [named, { not: condition }] })).toBeNull();
  });
});
