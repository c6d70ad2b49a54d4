/** How a workspace approves campaigns (design, section 8). */
export type ApprovalMode = 'FOUR_EYES' | 'SELF' | 'OFF';

/**
 * Why `userId` may not approve, or null. People count, not keys: an API key acts as the person it belongs to, so
 * nobody gets a second pair of eyes by making a key.
 */
export function approvalRefusal(
  mode: ApprovalMode,
  message: { authors: readonly string[]; submittedBy: string | null },
  userId: string,
): string | null {
  switch (mode) {
    case 'FOUR_EYES':
      if (message.submittedBy === userId) return 'You submitted this message; somebody else has to approve it.';
      return message.authors.includes(userId)
        ? 'You wrote a part of this message; somebody who did not has to approve it.'
        : null;
    case 'SELF':
    case 'OFF':
      return null;
  }
}
