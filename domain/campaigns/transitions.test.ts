import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  actionsAllowedIn,
  CAMPAIGN_ACTIONS,
  CAMPAIGN_STATES,
  CAMPAIGN_TRANSITIONS,
  refusal,
  statesAllowing,
  transitionTable,
} from './transitions';

describe('the transition table', () => {
  test('is the one that docs/campaign-states.md publishes', () => {
    const document = readFileSync(join(__dirname, '..', '..', 'docs', 'campaign-states.md'), 'utf8');
    expect(document).toContain(transitionTable());
  });

  test('holds each transition once, and leads nowhere from SENT', () => {
    const keys = CAMPAIGN_TRANSITIONS.map(({ action, from, to }) => `${action} ${from} ${to}`);
    expect(new Set(keys).size).toBe(keys.length);
    expect(CAMPAIGN_TRANSITIONS.filter(({ from }) => from === 'SENT')).toEqual([]);
  });

  test('reaches every state, and uses every action', () => {
    const reached = new Set(['DRAFT', ...CAMPAIGN_TRANSITIONS.map(({ to }) => to)]);
    expect([...reached].sort()).toEqual([...CAMPAIGN_STATES].sort());
    expect(new Set(CAMPAIGN_TRANSITIONS.map(({ action }) => action))).toEqual(new Set(CAMPAIGN_ACTIONS));
  });

  test('lets only Sally begin, stop and finish', () => {
    const own = CAMPAIGN_TRANSITIONS.filter(({ who }) => who === 'system').map(({ action }) => action);
    expect([...new Set(own)].sort()).toEqual(['begin', 'finish', 'stop']);
    expect(CAMPAIGN_STATES.flatMap(actionsAllowedIn)).not.toContain('begin');
  });

  test('gives refusals their words', () => {
    expect(statesAllowing('pause')).toEqual(['SCHEDULED', 'SENDING']);
    expect(refusal('pause', 'DRAFT')).toBe(
      '"pause" needs SCHEDULED or SENDING. Possible now: schedule, send, edit-content, delete.',
    );
    expect(refusal('cancel', 'SENT')).toBe(
      '"cancel" needs SCHEDULED or SENDING or PAUSED. Nothing changes it any more.',
    );
  });
});
