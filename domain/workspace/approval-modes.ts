/**
 * Who may approve a message: FOUR_EYES = somebody other than its author and submitter; SELF = also they;
 * OFF = submitting approves.
 */
export const APPROVAL_MODES = ['FOUR_EYES', 'SELF', 'OFF'] as const;
export type ApprovalMode = (typeof APPROVAL_MODES)[number];
