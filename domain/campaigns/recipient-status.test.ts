import { recipientStatus } from './recipient-status';

const nothing = { unsubscribed: false, clicked: false, opened: false };
const everything = { unsubscribed: true, clicked: true, opened: true };

describe('the status of a recipient', () => {
  test('follows the ledger while nothing else is known', () => {
    expect(recipientStatus('QUEUED', nothing)).toBe('PENDING');
    expect(recipientStatus('SENDING', nothing)).toBe('PENDING');
    expect(recipientStatus('UNCONFIRMED', nothing)).toBe('PENDING');
    expect(recipientStatus('SENT', nothing)).toBe('SENT');
    expect(recipientStatus('FAILED', nothing)).toBe('FAILED');
    expect(recipientStatus('CANCELLED', nothing)).toBe('FAILED');
  });

  test('is the strongest thing known', () => {
    expect(recipientStatus('SENT', { ...nothing, opened: true })).toBe('OPENED');
    expect(recipientStatus('SENT', { ...nothing, opened: true, clicked: true })).toBe('CLICKED');
    expect(recipientStatus('SENT', everything)).toBe('UNSUBSCRIBED');
  });

  test('of an unknown outcome is what the recipient proved', () => {
    expect(recipientStatus('UNCONFIRMED', { ...nothing, clicked: true })).toBe('CLICKED');
  });

  test('stays FAILED whatever else is recorded', () => {
    expect(recipientStatus('FAILED', everything)).toBe('FAILED');
  });
});
