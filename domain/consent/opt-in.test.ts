import fc from 'fast-check';
import { mayAskForMail, nextOptInStep, type OptInState } from './opt-in';

const NOW = new Date('2026-03-01T12:00:00Z');
const at = (hours: number) => new Date(NOW.getTime() + hours * 3_600_000);
const open = (more: Partial<OptInState> = {}): OptInState => ({
  status: 'OPEN',
  mailsRequested: 1,
  mailsEnqueued: 1,
  remindAt: at(48),
  remindedAt: null,
  expiresAt: at(168),
  addressChanged: false,
  ...more,
});

describe('nextOptInStep', () => {
  it.each([
    ['a mail was asked for', open({ mailsEnqueued: 0 }), { kind: 'send-confirmation' }],
    ['waiting for the reminder', open(), { kind: 'wait', for: 'reminder', milliseconds: 48 * 3_600_000 }],
    ['the reminder is due', open({ remindAt: at(0) }), { kind: 'send-reminder' }],
    [
      'reminded',
      open({ remindAt: at(-1), remindedAt: at(-1) }),
      { kind: 'wait', for: 'expiry', milliseconds: 168 * 3_600_000 },
    ],
    [
      'a reminder that would come too late',
      open({ remindAt: at(200) }),
      { kind: 'wait', for: 'expiry', milliseconds: 168 * 3_600_000 },
    ],
    ['time is over', open({ expiresAt: at(0) }), { kind: 'expire' }],
    ['time is over before a mail went', open({ expiresAt: at(-1), mailsEnqueued: 0 }), { kind: 'expire' }],
    ['another address by now', open({ addressChanged: true, mailsEnqueued: 0 }), { kind: 'cancel' }],
    ['confirmed', open({ status: 'CONFIRMED', mailsEnqueued: 0 }), { kind: 'closed', status: 'CONFIRMED' }],
  ])('%s', (_name, state, step) => {
    expect(nextOptInStep(state, NOW)).toEqual(step);
  });

  it('never waits past the expiry, and always ends: carrying out steps closes every request', () => {
    const states = fc.record({
      status: fc.constant('OPEN' as const),
      mailsRequested: fc.integer({ min: 1, max: 5 }),
      mailsEnqueued: fc.integer({ min: 0, max: 1 }),
      remindAt: fc.option(fc.integer({ min: -500, max: 500 }).map(at)),
      remindedAt: fc.option(fc.integer({ min: -500, max: 0 }).map(at)),
      expiresAt: fc.integer({ min: -500, max: 500 }).map(at),
      addressChanged: fc.boolean(),
    });
    fc.assert(
      fc.property(states, (start) => {
        let state: OptInState = start;
        let now = NOW;
        for (let steps = 0; steps < 10; steps += 1) {
          const step = nextOptInStep(state, now);
          switch (step.kind) {
            case 'closed':
              return true;
            case 'wait':
              if (step.milliseconds <= 0 || now.getTime() + step.milliseconds > state.expiresAt.getTime()) return false;
              now = new Date(now.getTime() + step.milliseconds);
              break;
            case 'expire':
              state = { ...state, status: 'EXPIRED' };
              break;
            case 'cancel':
              state = { ...state, status: 'CANCELLED' };
              break;
            case 'send-confirmation':
              state = { ...state, mailsEnqueued: state.mailsRequested };
              break;
            case 'send-reminder':
              if (state.remindedAt !== null) return false;
              state = { ...state, remindedAt: now };
              break;
          }
        }
        return false;
      }),
    );
  });
});

describe('mayAskForMail', () => {
  it.each([
    ['none yet', [], true],
    ['a minute ago', [-1 / 60], true],
    ['the same click', [-1 / 3_600], false],
    ['two in 24 hours', [-1, -2], true],
    ['three in 24 hours', [-1, -2, -23.9], false],
    ['the oldest is a day ago', [-1, -2, -24], true],
  ])('%s', (_name, hours, allowed) => {
    expect(mayAskForMail(hours.map(at), NOW)).toBe(allowed);
  });

  it('lets at most 3 through in any 24 hours, whenever they are asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 60 }), (seconds) => {
        const taken: Date[] = [];
        for (const second of [...seconds].sort((a, b) => a - b)) {
          const moment = new Date(NOW.getTime() + second * 1_000);
          if (mayAskForMail(taken, moment)) taken.push(moment);
        }
        return taken.every(
          (first) =>
            taken.filter((other) => other >= first && other.getTime() - first.getTime() < 86_400_000).length <= 3,
        );
      }),
    );
  });
});
