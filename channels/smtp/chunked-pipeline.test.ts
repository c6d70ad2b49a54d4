import fc from 'fast-check';
import type { Answer, Script, Step } from '../../test/support/scripted-smtp-server';
import { eventually, fault, message, OPEN, SmtpRig, short } from '../../test/support/smtp-rig';
import type { SendGate } from '../connector';

/** The usual extensions and CHUNKING. */
const CHUNKING = { extensions: ['PIPELINING', 'CHUNKING', '8BITMIME', 'SMTPUTF8', 'SIZE 104857600'] };

const rig = new SmtpRig();

afterEach(() => rig.end());

const names = (count: number, from = 1): string[] => Array.from({ length: count }, (_, n) => `m${n + from}`);

/** Lets the connection have `count` messages under way: it begins with one, and doubles. */
async function warmUp(count: number): Promise<void> {
  const outcomes = await rig.sendAll(Array.from({ length: count * 8 }, (_, n) => `warm${n}`));
  expect(outcomes.every(({ kind }) => kind === 'accepted')).toBe(true);
}

const verbs = (verb: string): number => rig.server.transcript.filter((line) => line.includes(` ${verb}`)).length;
const accepted = (): string[] => [...rig.server.tokens.keys()].filter((token) => token.startsWith('m')).sort();

describe('a server that offers CHUNKING', () => {
  test('gets every message once and octet for octet, several under way at once', async () => {
    await rig.begin(undefined, CHUNKING);
    const ids = names(60);
    expect((await rig.sendAll(ids)).map(short)).toEqual(ids.map(() => 'accepted'));
    expect(accepted()).toEqual([...ids].sort());
    expect(rig.server.duplicates()).toEqual([]);
    expect(rig.server.accepted[0]?.raw).toBe('X-Sally-Delivery: m1\r\nSubject: Hello\r\n\r\nHello m1\r\n.dot\r\n');
    expect(verbs('DATA')).toBe(0);
    // The first one goes alone and needs no RSET.
    expect(rig.server.bursts[1]).toEqual(['MAIL', 'RCPT', 'BDAT', '(content)']);
    const most = Math.max(...rig.server.bursts.map((burst) => burst.filter((verb) => verb === 'BDAT').length));
    expect(most).toBeGreaterThan(4);
    expect(most).toBeLessThanOrEqual(16);
    expect(rig.server.connections).toBe(1);
  });

  test.each([
    ['CHUNKING without PIPELINING', { extensions: ['CHUNKING'] }, {}],
    ['pipeline=1', CHUNKING, { maxPipelined: 1 }],
  ])('%s: DATA', async (_name, offered, options) => {
    await rig.begin(undefined, offered, options);
    expect((await rig.sendAll(names(5))).map(short)).toEqual(Array(5).fill('accepted'));
    expect([verbs('DATA'), verbs('BDAT')]).toEqual([5, 0]);
  });

  test('a connection is left after its number of messages, and closing waits for answers', async () => {
    await rig.begin(undefined, CHUNKING, { maxMessagesPerConnection: 7 });
    const outcomes = await rig.sendAll(names(20));
    expect(outcomes.map(short)).toEqual(Array(20).fill('accepted'));
    expect(rig.server.connections).toBe(3);
    rig.server.script = ({ step }) => (step === 'dot' ? { delayMs: 50 } : undefined);
    const last = rig.sendAll(['m21']);
    await eventually(() => rig.server.bursts.some((burst) => burst.includes('BDAT')) && verbs('BDAT') === 21);
    await rig.connector.close(10_000);
    expect((await last).map(short)).toEqual(['accepted']);
    await eventually(() => rig.server.openConnections === 0);
  });

  test('unknown kinds of line ends never leave, and dots are as they were', async () => {
    await rig.begin(undefined, CHUNKING);
    const content = Buffer.from('X-Sally-Delivery: m\n\na\rb\n.\n..\nMAIL FROM:<evil@x>');
    await rig.connector.send(message('m', { content }), OPEN);
    expect(rig.server.accepted[0]?.raw).toBe('X-Sally-Delivery: m\r\n\r\na\r\nb\r\n.\r\n..\r\nMAIL FROM:<evil@x>\r\n');
  });

  test('a large message is written in pieces and whole, between others', async () => {
    await rig.begin(undefined, CHUNKING);
    await warmUp(4);
    const content = Buffer.from(`X-Sally-Delivery: big\r\n\r\n${'.line of text\r\n'.repeat(60_000)}`);
    const outcomes = await Promise.all([
      ...names(3).map((id) => rig.connector.send(message(id), OPEN)),
      rig.connector.send(message('big', { content }), OPEN),
      ...names(3, 4).map((id) => rig.connector.send(message(id), OPEN)),
    ]);
    expect(outcomes.map(short)).toEqual(Array(7).fill('accepted'));
    expect(rig.server.accepted.find(({ token }) => token === 'big')?.raw).toBe(content.toString());
    expect(rig.server.connections).toBe(1);
  });

  test('a connection lost inside a large message: known not to be accepted', async () => {
    await rig.begin(fault('content', 1, { drop: true }), CHUNKING);
    const content = Buffer.from(`X-Sally-Delivery: big\r\n\r\n${'text\r\n'.repeat(4_000_000)}`);
    const outcome = await rig.connector.send(message('big', { content }), OPEN);
    expect(outcome).toMatchObject({ kind: 'not-sent', inData: expect.any(Boolean) });
    expect(rig.server.accepted).toEqual([]);
  });

  test('a large message whose recipient is refused is not sent to its end', async () => {
    await rig.begin(fault('rcpt', 1, '550 5.1.1 No such user'), CHUNKING);
    const content = Buffer.from(`X-Sally-Delivery: big\r\n\r\n${'text\r\n'.repeat(4_000_000)}`);
    expect(short(await rig.connector.send(message('big', { content }), OPEN))).toBe('permanent address suppress');
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['accepted']);
  });
});

describe('refusals', () => {
  test.each([
    ['rcpt', '550 5.1.1 No such user', 'permanent address suppress'],
    ['rcpt', '450 4.2.1 Busy', 'transient'],
    ['rcpt', '452 4.3.1 Full', 'throttled'],
    ['mail', '550 5.7.1 Not you', 'permanent sender'],
    ['dot', '552 5.3.4 Too big', 'permanent message'],
    ['dot', '452 4.3.1 Full', 'throttled'],
    ['dot', '250 2.6.0 Fine', 'accepted'],
  ])('%s answered with %s is %s; who was written before and behind it goes through', async (step, answer, expected) => {
    for (const alone of [false, true]) {
      await rig.begin(undefined, CHUNKING);
      await warmUp(8);
      const before = rig.server.messages;
      rig.server.script = fault(step, before + 3, answer);
      const ids = names(8);
      const outcomes = [];
      if (alone) {
        // Each waits for the one before it: the refused transaction must not be open still.
        for (const id of ids) outcomes.push(...(await rig.sendAll([id])));
      } else {
        outcomes.push(...(await rig.sendAll(ids)));
      }
      expect(outcomes.map(short)).toEqual(ids.map((id) => (id === 'm3' ? expected : 'accepted')));
      expect(accepted()).toEqual(ids.filter((id) => id !== 'm3' || expected === 'accepted'));
      expect(rig.server.connections).toBe(1);
      if (!alone) await rig.end();
    }
  });

  test('421 ends a connection: who was asked is throttled, who stood behind was not looked at and goes again', async () => {
    await rig.begin(undefined, CHUNKING);
    await warmUp(8);
    rig.server.script = fault('dot', rig.server.messages + 3, { reply: '421 4.3.2 Shutting down', thenClose: true });
    const outcomes = (await rig.sendAll(names(8))).map(short);
    expect(outcomes.slice(0, 3)).toEqual(['accepted', 'accepted', 'throttled']);
    expect(outcomes.slice(3)).toContain('not-sent connection');
    outcomes.forEach((outcome, n) => {
      expect(rig.server.tokens.get(`m${n + 1}`) ?? 0).toBe(outcome === 'accepted' ? 1 : 0);
    });
    // It said why: that is no reason for distrust.
    const before = verbs('BDAT');
    await rig.sendAll(['m9']);
    expect(verbs('BDAT')).toBe(before + 1);
  });

  test('421 to the MAIL of a used connection is its limit, not the message', async () => {
    await rig.begin(
      ({ step, messageOnConnection }) =>
        step === 'mail' && messageOnConnection === 5 ? { reply: '421 Enough', thenClose: true } : undefined,
      CHUNKING,
    );
    let left = names(20);
    for (let round = 0; round < 30 && left.length > 0; round += 1) {
      const outcomes = await rig.sendAll(left);
      expect(outcomes.map(short).filter((outcome) => !['accepted', 'not-sent connection'].includes(outcome))).toEqual(
        [],
      );
      left = left.filter((_, n) => outcomes[n]?.kind !== 'accepted');
    }
    expect(left).toEqual([]);
    expect(rig.server.duplicates()).toEqual([]);
    expect(accepted()).toHaveLength(20);
  });
});

describe('a connection that breaks', () => {
  test('what was written and not answered is unknown, and the server is given one at a time from then on', async () => {
    await rig.begin(undefined, CHUNKING);
    await warmUp(8);
    rig.server.script = fault('dot', rig.server.messages + 3, { drop: true, accepted: true });
    const outcomes = (await rig.sendAll(names(8))).map(short);
    expect(outcomes.slice(0, 3)).toEqual(['accepted', 'accepted', 'unknown']);
    expect(accepted()).toEqual(expect.arrayContaining(['m1', 'm2', 'm3']));
    expect(outcomes.slice(3).every((outcome) => ['unknown', 'accepted', 'not-sent connection'].includes(outcome))).toBe(
      true,
    );
    const chunked = verbs('BDAT');
    expect((await rig.sendAll(names(4, 20))).map(short)).toEqual(Array(4).fill('accepted'));
    expect(verbs('BDAT')).toBe(chunked);
    expect(verbs('DATA')).toBeGreaterThanOrEqual(4);
    expect(rig.server.duplicates()).toEqual([]);
  });

  test('the first message of a connection goes alone, so a server that takes and drops costs one', async () => {
    await rig.begin(({ step }) => (step === 'dot' ? { drop: true } : undefined), CHUNKING);
    const outcomes = (await rig.sendAll(names(6))).map(short);
    expect(outcomes[0]).toBe('unknown');
    // Everybody else met DATA, one at a time.
    expect(verbs('BDAT')).toBe(1);
    expect(rig.server.accepted).toEqual([]);
  });

  test('silence is a time-out, and unknown', async () => {
    await rig.begin(fault('dot', 1, { silent: true }), CHUNKING, { timeouts: { commandMs: 10_000, finalDotMs: 300 } });
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['unknown']);
    rig.server.script = () => undefined;
    expect((await rig.sendAll(['m2'])).map(short)).toEqual(['accepted']);
  });

  test.each([
    ['garbage', 'mail', '<html>no SMTP here</html>'],
    ['a 3xx to RCPT', 'rcpt', '354 Go ahead'],
    ['a 3xx to the message', 'dot', '354 More?'],
    ['a 5xx to RSET', 'rset', '502 5.5.1 What is that?'],
  ])('%s: nothing is concluded from it', async (_name, step, answer) => {
    await rig.begin(undefined, CHUNKING);
    await warmUp(8);
    rig.server.script = (context) => (context.step === step ? answer : undefined);
    const outcomes = (await rig.sendAll(names(3))).map(short);
    for (const [n, outcome] of outcomes.entries()) {
      if (outcome === 'accepted') expect(rig.server.tokens.get(`m${n + 1}`)).toBe(1);
      else expect(outcome).toMatch(/^(unknown|unavailable protocol|not-sent .*)$/);
    }
    expect(outcomes).toContain('unknown');
  });
});

describe('the gate', () => {
  test('a stopped message is not begun, others are', async () => {
    await rig.begin(undefined, CHUNKING);
    const gate: SendGate = { mayBegin: (id) => id !== 'm2', mayWrite: () => true };
    expect((await rig.sendAll(names(3), gate)).map(short)).toEqual(['accepted', 'not-sent stopped', 'accepted']);
    expect(rig.server.transcript.join()).not.toContain('m2@');
  });

  test('a lost lease ends everything before the next octet', async () => {
    let held = true;
    await rig.begin(({ step, message: n }) => {
      if (step === 'dot' && n === 1) held = false;
      return undefined;
    }, CHUNKING);
    const gate: SendGate = { mayBegin: () => true, mayWrite: () => held };
    const outcomes = (await rig.sendAll(names(5), gate)).map(short);
    expect(outcomes).toEqual(['accepted', ...Array(4).fill('not-sent fenced')]);
    expect(accepted()).toEqual(['m1']);
    await eventually(() => rig.server.openConnections === 0);
  });

  test('after the grace of a close what is unanswered is unknown, what waits is not sent', async () => {
    await rig.begin(({ step }) => (step === 'dot' ? { silent: true } : undefined), CHUNKING);
    const sent = rig.sendAll(names(3));
    await eventually(() => verbs('BDAT') === 1);
    await rig.connector.close(20);
    expect((await sent).map(short)).toEqual(['unknown', 'not-sent stopped', 'not-sent stopped']);
  });
});

/** What may happen to a message, and how often among a hundred. */
const faults: fc.Arbitrary<{ step: Step; answer: Answer } | null> = fc.oneof(
  { weight: 80, arbitrary: fc.constant(null) },
  { weight: 4, arbitrary: fc.constant({ step: 'rcpt' as const, answer: '550 5.1.1 No such user' }) },
  { weight: 3, arbitrary: fc.constant({ step: 'mail' as const, answer: '451 4.3.0 Later' }) },
  { weight: 3, arbitrary: fc.constant({ step: 'dot' as const, answer: '554 5.6.0 No' }) },
  { weight: 2, arbitrary: fc.constant({ step: 'dot' as const, answer: { drop: true as const } }) },
  { weight: 2, arbitrary: fc.constant({ step: 'dot' as const, answer: { drop: true as const, accepted: true } }) },
  { weight: 2, arbitrary: fc.constant({ step: 'content' as const, answer: { drop: true as const } }) },
  { weight: 2, arbitrary: fc.constant({ step: 'rcpt' as const, answer: { drop: true as const } }) },
  {
    weight: 2,
    arbitrary: fc.constant({ step: 'mail' as const, answer: { reply: '421 Bye', thenClose: true as const } }),
  },
);

test('whatever happens to whom: what we say was accepted was, what we say was not sent was not, and nothing twice', async () => {
  await rig.begin(undefined, CHUNKING);
  await fc.assert(
    fc.asyncProperty(fc.array(faults, { minLength: 40, maxLength: 40 }), async (plan) => {
      await rig.end();
      const script: Script = ({ step, message: n }) => {
        const planned = plan[n - 1];
        return planned?.step === step ? planned.answer : undefined;
      };
      await rig.begin(script, CHUNKING, { maxConnections: 2, reconnectMs: 1 });
      const ids = names(60);
      const outcomes = await rig.sendAll(ids);
      outcomes.forEach((outcome, n) => {
        const counted = rig.server.tokens.get(ids[n] ?? '') ?? 0;
        if (outcome.kind === 'accepted') expect(counted).toBe(1);
        else if (outcome.kind === 'unknown') expect(counted).toBeLessThanOrEqual(1);
        else expect(counted).toBe(0);
      });
    }),
    { numRuns: 60 },
  );
});
