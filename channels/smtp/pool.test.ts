import { eventually, fault, message, OPEN, SmtpRig, short } from '../../test/support/smtp-rig';
import type { SendGate } from '../connector';

const rig = new SmtpRig();

afterEach(() => rig.end());

describe('a server that works', () => {
  test('gets every message once, dots intact, in pipelined bursts', async () => {
    await rig.begin(undefined);
    const ids = Array.from({ length: 40 }, (_, n) => `m${n}`);
    const outcomes = await rig.sendAll(ids);
    expect(outcomes.map(short)).toEqual(ids.map(() => 'accepted'));
    expect(outcomes[0]).toMatchObject({ reply: '250 2.0.0 Accepted' });
    expect([...rig.server.tokens.keys()].sort()).toEqual([...ids].sort());
    expect(rig.server.duplicates()).toEqual([]);
    expect(rig.server.accepted[0]?.raw).toBe('X-Sally-Delivery: m0\r\nSubject: Hello\r\n\r\nHello m0\r\n.dot\r\n');
    expect(rig.server.accepted[0]?.from).toBe('news@sender.example');
    // One envelope, then content with the next envelope behind it in the same write: one round trip a message.
    expect(rig.server.bursts[1]).toEqual(['MAIL', 'RCPT', 'DATA']);
    expect(rig.server.bursts[2]).toEqual(['(content)', '(dot)', 'MAIL', 'RCPT', 'DATA']);
    expect(rig.server.bursts).toHaveLength(1 + 1 + 40);
    expect(rig.server.connections).toBe(1);
  });

  test('shares the work over connections, and keeps them', async () => {
    await rig.begin(undefined, {}, { maxConnections: 4 });
    await rig.sendAll(Array.from({ length: 40 }, (_, n) => `a${n}`));
    await rig.sendAll(Array.from({ length: 40 }, (_, n) => `b${n}`));
    expect(rig.server.connections).toBe(4);
    expect(new Set(rig.server.accepted.map((accepted) => accepted.connection)).size).toBe(4);
    expect(rig.server.tokens.size).toBe(80);
  });

  test('opens no more connections than there are messages', async () => {
    await rig.begin(undefined, {}, { maxConnections: 10 });
    await rig.sendAll(['a', 'b']);
    expect(rig.server.connections).toBe(2);
  });

  test('lanes take turns on a scarce connection', async () => {
    await rig.begin(undefined);
    const bulk = Array.from({ length: 20 }, (_, n) => rig.connector.send(message(`bulk${n}`), OPEN));
    const optIn = rig.connector.send(message('opt-in', { lane: 'opt-in' }), OPEN);
    await Promise.all([...bulk, optIn]);
    expect(rig.server.accepted.findIndex((accepted) => accepted.token === 'opt-in')).toBeLessThanOrEqual(1);
  });

  test('a connection is left after its number of messages, and when idle', async () => {
    await rig.begin(undefined, {}, { maxMessagesPerConnection: 3, idleCloseMs: 40 });
    const outcomes = await rig.sendAll(Array.from({ length: 10 }, (_, n) => `m${n}`));
    expect(outcomes.every((outcome) => outcome.kind === 'accepted')).toBe(true);
    expect(rig.server.connections).toBe(4);
    await eventually(() => rig.server.openConnections === 0);
    expect(rig.server.transcript.filter((line) => line.endsWith('QUIT'))).toHaveLength(4);
    expect((await rig.sendAll(['later'])).map(short)).toEqual(['accepted']);
  });

  test('large messages are written in pieces, stuffed and whole', async () => {
    await rig.begin(undefined);
    const body = `${'.line of text\r\n'.repeat(60_000)}`;
    const content = Buffer.from(`X-Sally-Delivery: big\r\n\r\n${body}`);
    const outcomes = await Promise.all([
      rig.connector.send(message('big', { content }), OPEN),
      rig.connector.send(message('after'), OPEN),
    ]);
    expect(outcomes.map(short)).toEqual(['accepted', 'accepted']);
    expect(rig.server.accepted[0]?.raw).toBe(content.toString());
  });

  test('unknown kinds of line ends never leave', async () => {
    await rig.begin(undefined);
    const content = Buffer.from('X-Sally-Delivery: m\n\na\rb\n.\nMAIL FROM:<evil@x>\n');
    await rig.connector.send(message('m', { content }), OPEN);
    expect(rig.server.accepted).toHaveLength(1);
    expect(rig.server.accepted[0]?.raw).toBe('X-Sally-Delivery: m\r\n\r\na\r\nb\r\n.\r\nMAIL FROM:<evil@x>\r\n');
  });
});

describe('refusals', () => {
  test.each([
    ['rcpt', '550 5.1.1 No such user', 'permanent address suppress'],
    ['rcpt', '550 5.7.1 Blocked', 'permanent sender'],
    ['rcpt', '550 Not today', 'permanent address'],
    ['rcpt', '450 4.2.1 Busy', 'transient'],
    ['rcpt', '452 4.3.1 Full', 'throttled'],
    ['mail', '550 5.7.1 Not you', 'permanent sender'],
    ['data', '451 4.3.0 Not now', 'transient'],
    ['dot', '552 5.3.4 Too big', 'permanent message'],
    ['dot', '452 4.3.1 Full', 'throttled'],
    ['dot', '250 2.6.0 Fine', 'accepted'],
  ])('%s answered with %s is %s, and its neighbours go through', async (step, answer, expected) => {
    for (const extensions of [undefined, []]) {
      await rig.begin(fault(step, 2, answer), { extensions });
      const outcomes = await rig.sendAll(['m1', 'm2', 'm3', 'm4']);
      expect(outcomes.map(short)).toEqual(['accepted', expected, 'accepted', 'accepted']);
      expect(rig.server.tokens.get('m2')).toBe(expected === 'accepted' ? 1 : undefined);
      expect(rig.server.connections).toBe(1);
      await rig.connector.close(0);
      await rig.server.stop();
    }
  });

  test('a 354 after a refused RCPT gets a lone dot, and its 250 is no acceptance', async () => {
    await rig.begin((context) => {
      if (context.message !== 2) {
        return undefined;
      }
      return context.step === 'rcpt' ? '550 5.1.1 No' : context.step === 'data' ? '354 Go on then' : undefined;
    });
    const outcomes = await rig.sendAll(['m1', 'm2', 'm3']);
    expect(outcomes.map(short)).toEqual(['accepted', 'permanent address suppress', 'accepted']);
    expect(rig.server.bursts).toContainEqual(['(dot)', 'RSET', 'MAIL', 'RCPT', 'DATA']);
    expect([...rig.server.tokens.keys()]).toEqual(['m1', 'm3']);
  });

  test('421 in the middle: throttled for who was asked, not sent for who waited behind, none lost', async () => {
    await rig.begin(fault('dot', 2, { reply: '421 4.3.2 Shutting down', thenClose: true }));
    const outcomes = await rig.sendAll(['m1', 'm2', 'm3', 'm4']);
    expect(outcomes.map(short)).toEqual(['accepted', 'throttled', 'not-sent dropped-before-data', 'accepted']);
    expect(rig.server.connections).toBe(2);
  });

  test('421 to the next MAIL of a used connection is its limit, not the message', async () => {
    await rig.begin(({ step, messageOnConnection }) =>
      step === 'mail' && messageOnConnection === 3 ? { reply: '421 Enough', thenClose: true } : undefined,
    );
    const outcomes = await rig.sendAll(['m1', 'm2', 'm3', 'm4']);
    expect(outcomes.map(short)).toEqual(['accepted', 'accepted', 'not-sent connection', 'accepted']);
  });
});

describe('drops', () => {
  test.each([
    ['mail', 'not-sent dropped-before-data'],
    ['rcpt', 'not-sent dropped-before-data'],
    ['data', 'not-sent dropped-in-data'],
    ['dot', 'unknown'],
  ])('at %s: %s; the next message goes through', async (step, expected) => {
    for (const extensions of [undefined, []]) {
      await rig.begin(fault(step, 2, { drop: true }), { extensions });
      const [first, second, third] = await Promise.all([
        rig.connector.send(message('m1'), OPEN),
        rig.connector.send(message('m2'), OPEN),
        rig.connector.send(message('m3'), OPEN),
      ]);
      expect(short(first)).toBe('accepted');
      expect(short(second)).toBe(expected);
      // Pipelined behind an unanswered dot it is known not to be accepted; otherwise it was not begun before.
      const behind = step === 'dot' && extensions === undefined;
      expect(short(third)).toBe(behind ? 'not-sent dropped-before-data' : 'accepted');
      await rig.connector.close(0);
      await rig.server.stop();
    }
  });

  test('what was accepted before the drop is unknown to us, and counted by the server', async () => {
    await rig.begin(fault('dot', 1, { drop: true, accepted: true }));
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['unknown']);
    expect(rig.server.tokens.get('m1')).toBe(1);
  });

  test('inside a large content the final dot is held back, so it is known not to be accepted', async () => {
    await rig.begin(fault('content', 1, { drop: true }), { extensions: ['PIPELINING'] });
    const content = Buffer.from(`X-Sally-Delivery: big\r\n\r\n${'text\r\n'.repeat(4_000_000)}`);
    const outcome = await rig.connector.send(message('big', { content }), OPEN);
    expect(outcome).toEqual({ kind: 'not-sent', cause: 'dropped-in-data', inData: true });
  });

  test('a refusal in the middle of a large content counts as its answer', async () => {
    await rig.begin(fault('content', 1, '552 5.3.4 Stop, too big'), { extensions: ['PIPELINING'] });
    const content = Buffer.from(`X-Sally-Delivery: big\r\n\r\n${'text\r\n'.repeat(4_000_000)}`);
    expect(short(await rig.connector.send(message('big', { content }), OPEN))).toBe('permanent message');
  });

  test('a server that dies every tenth message: nothing twice, every message accounted for', async () => {
    await rig.begin(
      ({ step, message: n }) => (step === 'dot' && n % 10 === 0 ? { drop: true } : undefined),
      {},
      { maxConnections: 3, reconnectMs: 1 },
    );
    let left = Array.from({ length: 100 }, (_, n) => `m${n}`);
    const unknown: string[] = [];
    for (let round = 0; round < 200 && left.length > 0; round++) {
      const outcomes = await rig.sendAll(left);
      const again: string[] = [];
      outcomes.forEach((outcome, index) => {
        const id = left[index] as string;
        if (outcome.kind === 'unknown') {
          unknown.push(id);
        } else if (outcome.kind === 'not-sent' || outcome.kind === 'unavailable') {
          again.push(id);
        } else {
          expect(outcome.kind).toBe('accepted');
        }
      });
      left = again;
    }
    expect(left).toEqual([]);
    expect(unknown.length).toBeGreaterThan(0);
    expect(rig.server.tokens.size + unknown.length).toBe(100);
    expect(rig.server.duplicates()).toEqual([]);
    expect(unknown.some((id) => rig.server.tokens.has(id))).toBe(false);
  });

  test('an idle connection that the server closed does not harm the next message', async () => {
    await rig.begin(undefined);
    await rig.sendAll(['m1']);
    rig.server.dropAll();
    await eventually(() => rig.server.openConnections === 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await rig.sendAll(['m2'])).map(short)).toEqual(['accepted']);
  });
});

describe('a server that is slow, silent or no SMTP server', () => {
  test('slow answers are waited for', async () => {
    await rig.begin(({ step }) => (step === 'dot' ? { delayMs: 60 } : undefined));
    expect((await rig.sendAll(['m1', 'm2', 'm3'])).map(short)).toEqual(['accepted', 'accepted', 'accepted']);
  });

  test('silence at RCPT: not sent; silence after the final dot: unknown', async () => {
    await rig.begin(fault('rcpt', 1, { silent: true }), {}, { timeouts: { commandMs: 500, finalDotMs: 600 } });
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['not-sent dropped-before-data']);
    rig.server.script = ({ step }) => (step === 'dot' ? { silent: true } : undefined);
    const before = performance.now();
    expect((await rig.sendAll(['m2'])).map(short)).toEqual(['unknown']);
    expect(performance.now() - before).toBeGreaterThanOrEqual(599);
  });

  test.each([
    ['greeting', 'unavailable protocol'],
    ['ehlo', 'unavailable protocol'],
    ['mail', 'unavailable protocol'],
    ['rcpt', 'unavailable protocol'],
    ['dot', 'unknown'],
  ])('garbage at %s: %s', async (step, expected) => {
    await rig.begin((context) => (context.step === step ? '<html>no SMTP here</html>' : undefined));
    expect((await rig.sendAll(['m1'])).map(short)).toEqual([expected]);
    expect(rig.server.accepted).toEqual([]);
  });

  test.each([
    ['garbage behind 354: the content was not written yet', 'data', '354 Go ahead\r\nwhat?', 'unavailable protocol'],
    ['a 250 where 354 is due', 'data', '250 Fine', 'unavailable protocol'],
    ['a 354 where 250 is due', 'rcpt', '354 Go ahead', 'unavailable protocol'],
    ['a 354 as the answer to a message', 'dot', '354 More?', 'unknown'],
    ['an answer too many', 'mail', '250 Ok\r\n250 Ok\r\n354 Go ahead\r\n250 Ok', 'unavailable protocol'],
  ])('%s', async (_name, step, answer, expected) => {
    await rig.begin((context) => (context.step === step ? answer : undefined));
    expect((await rig.sendAll(['m1'])).map(short)).toEqual([expected]);
    expect(rig.server.accepted.length).toBe(step === 'dot' ? 1 : 0);
  });

  test('a flood without a line end is cut off', async () => {
    await rig.begin(({ step }) => (step === 'mail' ? 'x'.repeat(100_000) : undefined));
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['unavailable protocol']);
  });

  test('nobody listens: unavailable at once, no places, and fine again when it is back', async () => {
    await rig.begin(undefined);
    const { port } = rig.server;
    await rig.server.stop();
    const outcomes = await rig.sendAll(['m1', 'm2']);
    expect(outcomes.map(short)).toEqual(['unavailable connect', 'unavailable connect']);
    expect(rig.connector.freePlaces()).toBe(0);
    expect(await rig.connector.send(message('m3'), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'connect' });
    await rig.server.listen(port);
    await eventually(() => rig.connector.freePlaces() > 0);
    expect((await rig.sendAll(['m4'])).map(short)).toEqual(['accepted']);
  });

  test('one that takes connections and drops them at the first command is as good as none', async () => {
    await rig.begin(({ step }) => (step === 'mail' ? { drop: true } : undefined));
    const outcomes = await rig.sendAll(['m1', 'm2', 'm3']);
    expect(outcomes.map(short)).toEqual(['not-sent dropped-before-data', 'unavailable connect', 'unavailable connect']);
    expect(rig.server.connections).toBe(1);
  });

  test('a greeting of 421 or 450 throttles, 554 makes the route unavailable', async () => {
    let greeting = '421 Too many connections';
    await rig.begin(({ step }) => (step === 'greeting' ? { reply: greeting, thenClose: true } : undefined));
    expect(await rig.connector.send(message('m1'), OPEN)).toMatchObject({
      kind: 'throttled',
      code: 421,
      retryAfterMs: expect.any(Number),
    });
    await eventually(() => rig.connector.freePlaces() > 0);
    greeting = '554 No service for you';
    expect((await rig.sendAll(['m2'])).map(short)).toEqual(['unavailable connect']);
  });

  test('a server that lets us have fewer connections than we want gets fewer', async () => {
    await rig.begin(
      ({ step, connection }) =>
        step === 'greeting' && connection > 2 ? { reply: '421 Only two', thenClose: true } : undefined,
      {},
      { maxConnections: 6 },
    );
    const outcomes = await rig.sendAll(Array.from({ length: 50 }, (_, n) => `m${n}`));
    expect(outcomes.every((outcome) => outcome.kind === 'accepted')).toBe(true);
  });
});

describe('a server that offers nothing', () => {
  test('is spoken to one command at a time', async () => {
    await rig.begin(undefined, { extensions: [] });
    expect((await rig.sendAll(['m1', 'm2', 'm3'])).map(short)).toEqual(['accepted', 'accepted', 'accepted']);
    expect(rig.server.bursts.filter((burst) => burst.length > 1 && burst[0] !== '(content)')).toEqual([]);
    expect(rig.connector.offers()).toMatchObject({ eightBitMime: false, smtpUtf8: false });
  });

  test('knows only HELO', async () => {
    await rig.begin(undefined, { heloOnly: true });
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['accepted']);
  });

  test('does not get 8-bit content, which comes back to be composed anew, nor a Unicode address: another route may', async () => {
    await rig.begin(undefined, { extensions: ['PIPELINING'] });
    const eightBit = await rig.connector.send(message('m1', { eightBit: true }), OPEN);
    const unicode = await rig.connector.send(message('m2', { envelopeTo: 'jörg@recipient.example' }), OPEN);
    expect([short(eightBit), short(unicode)]).toEqual(['not-sent connection', 'permanent address other']);
    expect(rig.server.messages).toBe(0);
    expect((await rig.sendAll(['m3'])).map(short)).toEqual(['accepted']);
  });
});

describe('envelopes', () => {
  test('parameters only as needed; Unicode domains as punycode, Unicode local parts with SMTPUTF8', async () => {
    await rig.begin(undefined);
    await rig.connector.send(message('m1'), OPEN);
    await rig.connector.send(message('m2', { eightBit: true, envelopeTo: 'ada@bücher.example' }), OPEN);
    await rig.connector.send(message('m3', { envelopeTo: 'jörg@bücher.example', envelopeFrom: '' }), OPEN);
    const commands = rig.server.transcript.filter((line) => / (MAIL|RCPT)/.test(line)).map((line) => line.slice(3));
    expect(commands).toEqual([
      'MAIL FROM:<news@sender.example> SIZE=56',
      'RCPT TO:<m1@recipient.example>',
      'MAIL FROM:<news@sender.example> BODY=8BITMIME SIZE=56',
      'RCPT TO:<ada@xn--bcher-kva.example>',
      'MAIL FROM:<> SMTPUTF8 SIZE=56',
      `RCPT TO:<${Buffer.from('jörg').toString('latin1')}@xn--bcher-kva.example>`,
    ]);
    expect(rig.server.accepted.at(-1)?.to).toBe('jörg@xn--bcher-kva.example');
  });

  test.each(['a b@x.example', 'a@x.example>\r\nRCPT TO:<b@y.example', 'a@', '@x', 'plain', '', 'a\u2028@x.example'])(
    'an address that would end its command is refused before a byte is sent: %j',
    async (envelopeTo) => {
      await rig.begin(undefined);
      expect(short(await rig.connector.send(message('m1', { envelopeTo }), OPEN))).toBe('permanent address');
      expect(rig.server.messages).toBe(0);
    },
  );

  test("the server's size limit is kept without asking", async () => {
    await rig.begin(undefined, { extensions: ['PIPELINING', 'SIZE 20'] });
    expect((await rig.sendAll(['m1'])).map(short)).toEqual(['permanent message']);
    expect(rig.server.messages).toBe(0);
  });
});

describe('the gate', () => {
  test('a stopped message is not begun, others are', async () => {
    await rig.begin(undefined);
    const gate: SendGate = { mayBegin: (id) => id !== 'm2', mayWrite: () => true };
    expect((await rig.sendAll(['m1', 'm2', 'm3'], gate)).map(short)).toEqual([
      'accepted',
      'not-sent stopped',
      'accepted',
    ]);
    expect(rig.server.transcript.join()).not.toContain('m2@');
  });

  test('messages that wait behind a slow server are given back soon after they were stopped', async () => {
    await rig.begin(
      ({ step }) => (step === 'dot' ? { silent: true } : undefined),
      {},
      { timeouts: { finalDotMs: 60_000 } },
    );
    let stopped = false;
    const gate: SendGate = { mayBegin: () => !stopped, mayWrite: () => true };
    const first = rig.connector.send(message('m1'), OPEN);
    const second = rig.connector.send(message('m2'), OPEN);
    await eventually(() => rig.server.bursts.some((burst) => burst.includes('(dot)')));
    const waiting = rig.connector.send(message('m3'), gate);
    stopped = true;
    expect(short(await waiting)).toBe('not-sent stopped');
    await rig.connector.close(0);
    expect([short(await first), short(await second)]).toEqual(['unknown', 'not-sent stopped']);
  });

  test('a message stopped between its envelope and its content is not sent, and harms no other', async () => {
    let stopped = false;
    await rig.begin(({ step, message: n }) => {
      stopped ||= step === 'data' && n === 2;
      return undefined;
    });
    const gate: SendGate = { mayBegin: (id) => !(stopped && id === 'm2'), mayWrite: () => true };
    expect((await rig.sendAll(['m1', 'm2', 'm3'], gate)).map(short)).toEqual([
      'accepted',
      'not-sent stopped',
      'accepted',
    ]);
    expect([...rig.server.tokens.keys()]).toEqual(['m1', 'm3']);
  });

  test('a lost lease ends everything before the next byte: only answered-for dots are unknown', async () => {
    let held = true;
    await rig.begin(({ step, message: n }) => {
      if (step === 'dot' && n === 2) {
        held = false;
        return { delayMs: 30 };
      }
      return undefined;
    });
    const gate: SendGate = { mayBegin: () => true, mayWrite: () => held };
    const outcomes = (await rig.sendAll(['m1', 'm2', 'm3', 'm4', 'm5'], gate)).map(short);
    // m2 is accepted when its answer arrives; its content's follower m3 may not be written any more.
    expect(outcomes).toEqual(['accepted', 'accepted', 'not-sent fenced', 'not-sent fenced', 'not-sent fenced']);
    expect([...rig.server.tokens.keys()]).toEqual(['m1', 'm2']);
    await eventually(() => rig.server.openConnections === 0);
  });

  test('a fence while a final dot is unanswered leaves that message unknown', async () => {
    let held = true;
    await rig.begin(
      ({ step, message: n, connection }) => {
        if (step === 'dot' && connection === 1) {
          return { silent: true };
        }
        if (step === 'mail' && n === 2) {
          held = false;
        }
        return undefined;
      },
      {},
      { maxConnections: 2 },
    );
    const gate: SendGate = { mayBegin: () => true, mayWrite: () => held };
    const first = rig.connector.send(message('m1'), OPEN);
    await eventually(() => rig.server.bursts.some((burst) => burst.includes('(dot)')));
    const second = rig.connector.send(message('m2'), gate);
    expect(short(await second)).toMatch(/^not-sent fenced$/);
    expect(short(await first)).toBe('unknown');
  });
});

describe('close', () => {
  test('waits for answers, begins nothing more', async () => {
    await rig.begin(({ step }) => (step === 'dot' ? { delayMs: 50 } : undefined));
    const sent = rig.sendAll(['m1', 'm2', 'm3', 'm4', 'm5']);
    await eventually(() => rig.server.bursts.some((burst) => burst.includes('(dot)')));
    await rig.connector.close(5_000);
    expect((await sent).map(short)).toEqual(['accepted', 'accepted', ...Array(3).fill('not-sent stopped')]);
    expect((await rig.sendAll(['m6'])).map(short)).toEqual(['not-sent stopped']);
    await eventually(() => rig.server.openConnections === 0);
  });

  test('after the grace what is unanswered is unknown', async () => {
    await rig.begin(({ step }) => (step === 'dot' ? { silent: true } : undefined));
    const sent = rig.sendAll(['m1', 'm2']);
    await eventually(() => rig.server.bursts.some((burst) => burst.includes('(dot)')));
    await Promise.all([rig.connector.close(20), rig.connector.close(20)]);
    expect((await sent).map(short)).toEqual(['unknown', 'not-sent stopped']);
  });

  test('while a connection is being opened', async () => {
    await rig.begin(({ step }) => (step === 'greeting' ? { silent: true } : undefined));
    const sent = rig.sendAll(['m1']);
    await eventually(() => rig.server.connections === 1);
    await rig.connector.close(1_000);
    expect((await sent).map(short)).toEqual(['not-sent stopped']);
  });
});
