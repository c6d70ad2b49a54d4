import type { Permission } from '../workspace';

/**
 * States of a campaign as shown (spec 003, "Campaigns"). DRAFT until a run exists; from then on the state of its
 * newest run. SENT is final.
 */
export const CAMPAIGN_STATES = ['DRAFT', 'SCHEDULED', 'SENDING', 'PAUSED', 'CANCELLED', 'SENT'] as const;
export type CampaignState = (typeof CAMPAIGN_STATES)[number];

/** Everything that can be asked of a campaign's state; `begin`, `stop` and `finish` are Sally's own. */
export const CAMPAIGN_ACTIONS = [
  'schedule',
  'send',
  'begin',
  'pause',
  'resume',
  'cancel',
  'stop',
  'finish',
  'edit-content',
  'delete',
] as const;
export type CampaignAction = (typeof CAMPAIGN_ACTIONS)[number];

export interface CampaignTransition {
  action: CampaignAction;
  from: CampaignState;
  to: CampaignState;
  /** The permission that it takes, or Sally itself. */
  who: Permission | 'system';
  /** What must hold besides the state. */
  condition?: string;
}

const APPROVED = 'the submitted message is approved and unchanged';
const NOTHING_BEGUN = 'no message of the cancelled run was begun, and the submitted message is approved and unchanged';

/**
 * The one table of who may take a campaign from where to where (published in docs/campaign-states.md). What is not
 * in it is refused with 409 that names the state.
 */
export const CAMPAIGN_TRANSITIONS: readonly CampaignTransition[] = [
  { action: 'schedule', from: 'DRAFT', to: 'SCHEDULED', who: 'campaigns:operate', condition: APPROVED },
  { action: 'schedule', from: 'CANCELLED', to: 'SCHEDULED', who: 'campaigns:operate', condition: NOTHING_BEGUN },
  { action: 'send', from: 'DRAFT', to: 'SCHEDULED', who: 'campaigns:operate', condition: `${APPROVED}; due at once` },
  {
    action: 'send',
    from: 'SCHEDULED',
    to: 'SCHEDULED',
    who: 'campaigns:operate',
    condition: `${APPROVED}; due at once`,
  },
  {
    action: 'send',
    from: 'CANCELLED',
    to: 'SCHEDULED',
    who: 'campaigns:operate',
    condition: `${NOTHING_BEGUN}; due at once`,
  },
  { action: 'begin', from: 'SCHEDULED', to: 'SENDING', who: 'system', condition: `it is time, and ${APPROVED}` },
  { action: 'stop', from: 'SCHEDULED', to: 'PAUSED', who: 'system', condition: 'it is time, but the approval is void' },
  { action: 'pause', from: 'SCHEDULED', to: 'PAUSED', who: 'campaigns:operate' },
  { action: 'pause', from: 'SENDING', to: 'PAUSED', who: 'campaigns:operate' },
  {
    action: 'resume',
    from: 'PAUSED',
    to: 'SCHEDULED',
    who: 'campaigns:operate',
    condition: `it had not begun, and ${APPROVED}`,
  },
  { action: 'resume', from: 'PAUSED', to: 'SENDING', who: 'campaigns:operate', condition: 'it had begun' },
  { action: 'cancel', from: 'SCHEDULED', to: 'CANCELLED', who: 'campaigns:operate' },
  { action: 'cancel', from: 'SENDING', to: 'CANCELLED', who: 'campaigns:operate' },
  { action: 'cancel', from: 'PAUSED', to: 'CANCELLED', who: 'campaigns:operate' },
  {
    action: 'finish',
    from: 'SENDING',
    to: 'SENT',
    who: 'system',
    condition: 'everybody has a row, and no row is queued or being sent',
  },
  { action: 'edit-content', from: 'DRAFT', to: 'DRAFT', who: 'campaigns:write', condition: 'voids an approval' },
  {
    action: 'edit-content',
    from: 'SCHEDULED',
    to: 'SCHEDULED',
    who: 'campaigns:write',
    condition: 'voids the approval',
  },
  {
    action: 'edit-content',
    from: 'PAUSED',
    to: 'PAUSED',
    who: 'campaigns:write',
    condition: 'it had not begun; voids the approval',
  },
  {
    action: 'edit-content',
    from: 'CANCELLED',
    to: 'CANCELLED',
    who: 'campaigns:write',
    condition: 'voids an approval',
  },
  { action: 'delete', from: 'DRAFT', to: 'DRAFT', who: 'campaigns:write' },
];

/** States from which `action` leads somewhere. */
export function statesAllowing(action: CampaignAction): CampaignState[] {
  const states = CAMPAIGN_TRANSITIONS.filter((transition) => transition.action === action).map(({ from }) => from);
  return [...new Set(states)];
}

/** Actions that people may take in `state`, for the text of a refusal. */
export function actionsAllowedIn(state: CampaignState): CampaignAction[] {
  const actions = CAMPAIGN_TRANSITIONS.filter(({ from, who }) => from === state && who !== 'system').map(
    ({ action }) => action,
  );
  return [...new Set(actions)];
}

/** One sentence for a 409. */
export function refusal(action: CampaignAction, state: CampaignState): string {
  const allowed = actionsAllowedIn(state);
  const possible = allowed.length === 0 ? 'Nothing changes it any more.' : `Possible now: ${allowed.join(', ')}.`;
  return `"${action}" needs ${statesAllowing(action).join(' or ')}. ${possible}`;
}

/** The table as Markdown, for docs/campaign-states.md. */
export function transitionTable(): string {
  const lines = CAMPAIGN_TRANSITIONS.map(
    ({ action, from, to, who, condition }) =>
      `| \`${action}\` | ${from} | ${to} | ${who === 'system' ? 'Sally' : `\`${who}\``} | ${condition ?? ''} |`,
  );
  return ['| action | from | to | who | condition |', '| --- | --- | --- | --- | --- |', ...lines].join('\n');
}
