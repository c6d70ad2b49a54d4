import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { API_RIGS, type Rig, type RigOptions, type Said } from '../test/support/provider-rigs';
import {
  type HttpReply,
  ScriptedHttpServer,
  type ScriptedHttpServerOptions,
} from '../test/support/scripted-http-server';
import { type Answer, ScriptedSmtpServer, type Step, testAuthority } from '../test/support/scripted-smtp-server';
import { until } from '../test/support/until';
import type { Connector, OutgoingMessage, SendGate } from './connector';
import { createComposer, type FixedHeader, structure } from './mime';
import { createSmtpConnector, smtpOptions } from './smtp';

/** For what never comes; a busy machine may need longer for what does. */
const NO_CONNECTION = { timeouts: { connectMs: 400, answerMs: 20_000 } };
const NO_ANSWER = { timeouts: { connectMs: 20_000, answerMs: 400 } };
const OPEN: SendGate = { mayBegin: () => true, mayWrite: () => true };
const CORRELATION = `${'0198f1c2'.repeat(4)}.${'7d3e9a01'.repeat(4)}`;

const fixed: FixedHeader = {
  from: { name: 'Änne; Bø, GmbH', address: 'news@acme.example' },
  replyTo: { name: '', address: 'answers@acme.example' },
  listId: 'acme.example',
  feedbackId: 'c:w:bulk:sally',
  autoSubmitted: false,
  extra: { 'X-Campaign': 'Frühling' },
};

/** A message as the delivery activity makes it. */
function message(change: Partial<OutgoingMessage> & { attachment?: Buffer } = {}): OutgoingMessage {
  const { attachment, ...rest } = change;
  const personal = {
    to: { name: 'Jörg "Jo" Müller, 佐藤', address: 'joerg@contacts.example' },
    subject: 'Grüße 🎉 = "quoted"',
    text: 'Hällo\r\n.dot\r\n',
    html: '<p>Hällo & 你好</p>\r\n',
    messageId: `${CORRELATION}@acme.example`,
    date: new Date(0),
    unsubscribeUrl: 'https://sally.example/u/token',
    encoding: '7bit' as const,
  };
  return {
    deliveryId: 'd1',
    correlation: CORRELATION,
    lane: 'pool/default',
    envelopeFrom: 'news@acme.example',
    envelopeTo: 'joerg@contacts.example',
    ...createComposer(fixed)(personal),
    structured: () => ({
      ...structure(fixed, personal),
      attachments: attachment
        ? [{ fileName: 'Rechnung ä.pdf', contentType: 'application/pdf', content: attachment }]
        : [],
    }),
    ...rest,
  };
}

jest.setTimeout(120_000);

const servers: ScriptedHttpServer[] = [];
const connectors: Connector[] = [];

afterEach(async () => {
  for (const connector of connectors.splice(0)) await connector.close(0);
  for (const server of servers.splice(0)) await server.stop();
});

interface Bench {
  server: ScriptedHttpServer;
  connector: Connector;
}

async function begin(
  rig: Rig,
  server: ScriptedHttpServerOptions = {},
  options: Partial<RigOptions> = {},
): Promise<Bench> {
  const started = await ScriptedHttpServer.start(server);
  servers.push(started);
  return { server: started, connector: connect(rig, { endpoint: started.url, ...options }) };
}

function connect(rig: Rig, options: RigOptions): Connector {
  const connector = rig.connect(options);
  connectors.push(connector);
  return connector;
}

/** Sends one message to a provider that says this. */
async function told(rig: Rig, said: Said) {
  const { server, connector } = await begin(rig);
  server.reply = (request) => rig.says(said, request);
  const outcome = await connector.send(message(), OPEN);
  expect(server.requests).toHaveLength(1);
  return outcome;
}

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.each(API_RIGS.map((rig) => [rig.name, rig] as const))('%s', (_name, rig) => {
  test('accepted: the message arrives as it was given, with its tag', async () => {
    const { server, connector } = await begin(rig);
    server.reply = (request) => rig.says('accepted', request);
    const sent = message();
    const outcome = await connector.send(sent, OPEN);
    expect(outcome).toMatchObject({ kind: 'accepted', providerMessageId: expect.any(String) });
    const [arrived] = server.requests.flatMap((request) => rig.arrived(request));
    expect(arrived).toMatchObject({ to: 'joerg@contacts.example', correlation: CORRELATION, sandbox: false });
    if (arrived?.mime) {
      expect(arrived.mime.equals(sent.content)).toBe(true);
      return;
    }
    expect(arrived?.parts).toMatchObject({
      to: 'Jörg "Jo" Müller, 佐藤 <joerg@contacts.example>'.replace(/^(.*) </, (_all, name) =>
        rig.name === 'SendGrid' ? `"${name.replace(/"/g, '\\"')}" <` : `${name} <`,
      ),
      subject: 'Grüße 🎉 = "quoted"',
      text: 'Hällo\r\n.dot\r\n',
      html: '<p>Hällo & 你好</p>\r\n',
      attachments: [],
    });
    expect(arrived?.parts?.headers).toEqual({
      'Message-ID': `<${CORRELATION}@acme.example>`,
      'List-Unsubscribe': '<https://sally.example/u/token>',
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      'List-Id': '<acme.example>',
      'Feedback-ID': 'c:w:bulk:sally',
      'X-Campaign': '=?UTF-8?B?RnLDvGhsaW5n?=',
    });
  });

  test.each<[Said, object]>([
    ['throttled', { kind: 'throttled', retryAfterMs: null }],
    ['throttled-for-7-seconds', { kind: 'throttled', retryAfterMs: 7_000 }],
    ['overloaded', { kind: 'unavailable', cause: 'protocol', retryAfterMs: 7_000 }],
    ['broken', { kind: 'unknown' }],
    ['bad-credentials', { kind: 'unavailable', cause: 'authentication' }],
    ['bad-address', { kind: 'permanent', scope: 'address', suppress: false, otherRoute: false }],
    ['bad-sender', { kind: 'permanent', scope: 'sender', suppress: false }],
    ['too-big', { kind: 'permanent', scope: 'message', suppress: false }],
  ])('%s', async (said, expected) => {
    expect(await told(rig, said)).toMatchObject(expected);
  });

  test.each<[string, HttpReply]>([
    ['a reset', { reset: true }],
    ['silence', { silent: true }],
    ['an answer that breaks off', { cutAnswer: true }],
  ])('%s after the request is unknown, and nothing is repeated', async (_what, reply) => {
    const { server, connector } = await begin(rig, {}, 'silent' in reply ? { http: NO_ANSWER } : {});
    server.reply = () => reply;
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'unknown' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(server.requests).toHaveLength(1);
  });

  test.each<[string, ScriptedHttpServerOptions]>([
    ['a reset', { before: 'cut-body' }],
    ['a server that stops reading', { before: 'stop-reading' }],
  ])('%s in the middle of the request is known not to be accepted', async (_what, options) => {
    const { connector } = await begin(rig, options, options.before === 'stop-reading' ? { http: NO_ANSWER } : {});
    const big = Buffer.alloc(16_000_000, 'x');
    expect(await connector.send(message({ content: big, attachment: big }), OPEN)).toMatchObject({
      kind: 'not-sent',
      cause: 'dropped-in-data',
    });
  });

  test('before the request: refused, unresolvable, hanging and untrusted connections are the route’s fault', async () => {
    const refused = connect(rig, { endpoint: `http://127.0.0.1:${await closedPort()}`, http: { pauseMs: 5_000 } });
    expect(await refused.send(message(), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'connect' });
    expect(refused.freePlaces()).toBe(0);
    const nowhere = connect(rig, { endpoint: 'http://nowhere.invalid' });
    expect(await nowhere.send(message(), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'connect' });
    const { server } = await begin(rig, { before: 'no-handshake' });
    const hanging = connect(rig, { endpoint: `https://127.0.0.1:${server.port}`, http: NO_CONNECTION });
    expect(await hanging.send(message(), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'connect' });
    const { connector: untrusting } = await begin(rig, { certificate: 'localhost' });
    expect(await untrusting.send(message(), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'tls' });
    const { connector: mismatching } = await begin(
      rig,
      { certificate: 'mismatch' },
      { http: { certificateAuthority: testAuthority() } },
    );
    expect(await mismatching.send(message(), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'tls' });
  });

  test('a verified certificate carries the message', async () => {
    const { server, connector } = await begin(
      rig,
      { certificate: 'localhost' },
      { http: { certificateAuthority: testAuthority() } },
    );
    server.reply = (request) => rig.says('accepted', request);
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted' });
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted' });
    expect(server.connections).toBe(1);
  });

  test('an answer may take longer than a connection may idle; an idle one is closed', async () => {
    const { server, connector } = await begin(rig, {}, { http: { idleCloseMs: 100, maxConnections: 1 } });
    server.reply = (request) => ({ ...rig.says('accepted', request), delayMs: 300 });
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted' });
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted' });
    expect(server.connections).toBe(2);
  });

  test('throttling holds back what waits, whatever else is answered meanwhile', async () => {
    const { server, connector } = await begin(rig, {}, { http: { maxConnections: 1 } });
    server.reply = (request) => ({ ...rig.says('throttled-for-7-seconds', request), delayMs: 200 });
    const first = connector.send(message(), OPEN);
    await until('it is under way', () => server.requests.length === 1);
    const waiting = connector.send(message(), OPEN);
    expect(await first).toMatchObject({ kind: 'throttled' });
    expect(await waiting).toMatchObject({ kind: 'not-sent', inData: false });
    expect(connector.freePlaces()).toBe(0);
    expect(server.requests).toHaveLength(1);
  });

  test('a host that may not be reached is not reached', async () => {
    const { server } = await begin(rig);
    const connector = connect(rig, {
      endpoint: `http://localhost:${server.port}`,
      http: { lookup: (_host, _options, callback) => callback(new Error('forbidden target'), '') },
    });
    const outcome = await connector.send(message(), OPEN);
    expect(outcome).toMatchObject({ kind: 'unavailable', cause: 'connect', reply: 'forbidden target' });
    expect(server.connections).toBe(0);
  });

  test('odd ids of the provider are kept, absent ones are null', async () => {
    for (const id of ['x'.repeat(400), 'a b;c="d"', '00']) {
      const { server, connector } = await begin(rig);
      server.reply = (request) => rig.says('accepted', request, id);
      expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted', providerMessageId: id });
    }
    const { server, connector } = await begin(rig);
    server.reply = (request) => {
      const reply = rig.says('accepted', request);
      if (!('status' in reply)) return reply;
      if (rig.name === 'Postmark') return { status: 200, json: [{ ErrorCode: 0, Message: 'OK' }] };
      return { ...reply, headers: {}, json: {} };
    };
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted', providerMessageId: null });
  });

  test('the Message-ID finally used is told where it is not ours', async () => {
    const finallyUsed = async (id: string) => {
      const { server, connector } = await begin(rig);
      server.reply = (request) => rig.says('accepted', request, id);
      const outcome = await connector.send(message(), OPEN);
      return outcome.kind === 'accepted' ? outcome.messageId : outcome;
    };
    const own = `${CORRELATION}@acme.example`;
    // SES replaces it; Mailgun says which one it took; SendGrid and Postmark keep what they are given.
    const told = {
      SES: { '0107-abc': '0107-abc@eu-central-1.amazonses.com' },
      Mailgun: { [own]: undefined, '2026.1@mg.acme.example': '2026.1@mg.acme.example', 'no id': undefined },
    }[rig.name] ?? { 'x-1': undefined };
    for (const [id, used] of Object.entries(told)) expect(await finallyUsed(id)).toBe(used);
  });

  test('attachments arrive octet by octet', async () => {
    const { server, connector } = await begin(rig);
    server.reply = (request) => rig.says('accepted', request);
    const attachment = Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7) % 256));
    const mime = Buffer.from(
      `Subject: With attachment\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${attachment.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n--b--\r\n`,
    );
    await connector.send(message({ content: mime, attachment }), OPEN);
    const [arrived] = server.requests.flatMap((request) => rig.arrived(request));
    if (arrived?.mime) expect(arrived.mime.equals(mime)).toBe(true);
    else
      expect(arrived?.parts?.attachments).toEqual([
        { name: 'Rechnung ä.pdf', type: 'application/pdf', content: attachment },
      ]);
  });

  test('a Unicode domain goes out as punycode; a non-ASCII local part needs another route', async () => {
    const { server, connector } = await begin(rig);
    server.reply = (request) => rig.says('accepted', request);
    await connector.send(message({ envelopeTo: 'joerg@bücher.example' }), OPEN);
    expect(server.requests.flatMap((request) => rig.arrived(request))[0]?.to).toBe('joerg@xn--bcher-kva.example');
    const outcome = await connector.send(message({ envelopeTo: 'jörg@contacts.example', smtpUtf8: true }), OPEN);
    expect(outcome).toMatchObject({ kind: 'permanent', otherRoute: true, suppress: false });
    expect(server.requests).toHaveLength(1);
  });

  test('sandbox mode is asked for where there is one', async () => {
    const { server, connector } = await begin(rig, {}, { sandbox: true });
    server.reply = (request) => rig.says('accepted', request);
    await connector.send(message(), OPEN);
    expect(server.requests.flatMap((request) => rig.arrived(request))[0]?.sandbox).toBe(rig.sandbox);
  });

  test('the gate is asked before anything is written, and again when the connection stands', async () => {
    const { server, connector } = await begin(rig);
    server.reply = (request) => rig.says('accepted', request);
    const stopped = await connector.send(message(), { ...OPEN, mayBegin: () => false });
    expect(stopped).toEqual({ kind: 'not-sent', cause: 'stopped', inData: false });
    let asked = 0;
    const late = await connector.send(message(), { ...OPEN, mayBegin: () => asked++ === 0 });
    expect(late).toEqual({ kind: 'not-sent', cause: 'stopped', inData: false });
    expect(asked).toBeGreaterThan(1);
    const fenced = await connector.send(message(), { ...OPEN, mayWrite: () => false });
    expect(fenced).toEqual({ kind: 'not-sent', cause: 'fenced', inData: false });
    expect(server.requests).toHaveLength(0);
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted' });
  });

  test('never more requests at once than connections; closing waits for answers and begins nothing more', async () => {
    const { server, connector } = await begin(rig, {}, { http: { maxConnections: 2 } });
    let open = 0;
    let most = 0;
    server.reply = (request) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
      }, 20);
      return { ...rig.says('accepted', request), delayMs: 20 };
    };
    const all = Array.from({ length: 120 }, (_, index) => connector.send(message({ deliveryId: `d${index}` }), OPEN));
    await until('the first is under way', () => server.requests.length > 0);
    await connector.close(20_000);
    const kinds = new Set((await Promise.all(all)).map((outcome) => outcome.kind));
    expect(most).toBeLessThanOrEqual(2);
    expect(kinds.has('accepted')).toBe(true);
    expect([...kinds].every((kind) => kind === 'accepted' || kind === 'not-sent')).toBe(true);
    expect(connector.freePlaces()).toBe(0);
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'not-sent', cause: 'stopped' });
  });

  test('a provider that fails is left alone for a while, then asked with one message', async () => {
    const { server, connector } = await begin(rig, {}, { http: { maxConnections: 1, pauseMs: 2_000 } });
    server.reply = (request) => ({ ...rig.says('broken', request), delayMs: 200 });
    const first = connector.send(message(), OPEN);
    await until('it is under way', () => server.requests.length === 1);
    const waiting = connector.send(message(), OPEN);
    expect(await first).toMatchObject({ kind: 'unknown' });
    expect(await waiting).toMatchObject({ kind: 'unavailable', cause: 'protocol' });
    expect(server.requests).toHaveLength(1);
    expect(connector.freePlaces()).toBe(0);
    await until('the pause is over', () => connector.freePlaces() > 0);
    expect(connector.freePlaces()).toBe(1);
    server.reply = (request) => rig.says('accepted', request);
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'accepted' });
    expect(connector.freePlaces()).toBeGreaterThan(1);
  });

  test('verify says what is right or wrong without sending', async () => {
    const { server, connector } = await begin(rig);
    server.reply = () => rig.checks(true);
    expect(await connector.verify()).toMatchObject({ ok: true, authenticated: true });
    server.reply = () => rig.checks(false);
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'authentication' });
    server.reply = () => ({ status: 200, text: '<html>A portal</html>' });
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'protocol' });
    server.reply = () => ({ status: 429, text: 'slow down' });
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'throttled' });
    expect(server.requests.every((request) => request.method === 'GET')).toBe(true);
    await server.stop();
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'connect' });
  });
});

/** The same promises by SMTP, where each is said in its own words; the dialogue itself is tested beside its pool. */
describe('SMTP', () => {
  const relays: ScriptedSmtpServer[] = [];
  const LOGIN = { username: 'sally', password: 'p4ssw0rd' };

  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.stop();
  });

  async function relay(step?: Step, answer?: Answer, password = LOGIN.password) {
    const isSilent = typeof answer === 'object' && 'silent' in answer;
    /** Short only where nothing comes: what does come may take a busy machine its time. */
    const within = (awaited: Step) => (isSilent && step === awaited ? 400 : 20_000);
    const script = (context: { step: Step }) => (context.step === step ? answer : undefined);
    const server = await ScriptedSmtpServer.start({ login: LOGIN, script });
    relays.push(server);
    const connector = createSmtpConnector(
      smtpOptions({
        host: '127.0.0.1',
        port: server.port,
        maxConnections: 1,
        reconnectMs: 30,
        credentials: { kind: 'password', username: LOGIN.username, password, mechanism: null },
        timeouts: { connectMs: 20_000, greetingMs: within('greeting'), commandMs: 20_000, finalDotMs: within('dot') },
      }),
    );
    connectors.push(connector);
    return { server, connector };
  }

  test('accepted: the message arrives octet by octet', async () => {
    const { server, connector } = await relay();
    const sent = message({ envelopeTo: 'joerg@bücher.example' });
    expect(await connector.send(sent, OPEN)).toMatchObject({ kind: 'accepted' });
    expect(server.accepted[0]?.raw).toBe(sent.content.toString('latin1'));
    expect(server.accepted[0]?.to).toBe('joerg@xn--bcher-kva.example');
  });

  test.each<[string, Step, Answer, object]>([
    ['throttled', 'mail', '421 4.7.0 slow down', { kind: 'throttled', retryAfterMs: null }],
    ['broken', 'dot', '451 4.3.0 something failed', { kind: 'transient' }],
    ['a refused address', 'rcpt', '550 5.1.1 no such user', { kind: 'permanent', scope: 'address', suppress: true }],
    ['a refused sender', 'mail', '550 5.7.1 not from you', { kind: 'permanent', scope: 'sender', suppress: false }],
    ['a message that is too big', 'dot', '552 5.3.4 too big', { kind: 'permanent', scope: 'message' }],
    ['a reset after the message', 'dot', { drop: true }, { kind: 'unknown' }],
    ['silence after the message', 'dot', { silent: true }, { kind: 'unknown' }],
    ['a reset in the middle of it', 'content', { drop: true }, { kind: 'not-sent', cause: 'dropped-in-data' }],
    ['silence before it', 'greeting', { silent: true }, { kind: 'unavailable', cause: 'connect' }],
  ])('%s', async (_what, step, answer, expected) => {
    const { connector } = await relay(step, answer);
    const big = step === 'content' ? { content: Buffer.alloc(8_000_000, 'x'.repeat(70).concat('\r\n')) } : {};
    expect(await connector.send(message(big), OPEN)).toMatchObject(expected);
  });

  test('bad credentials', async () => {
    const { connector } = await relay(undefined, undefined, 'wrong');
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'unavailable', cause: 'authentication' });
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'authentication' });
  });

  test('the gate', async () => {
    const { server, connector } = await relay();
    expect(await connector.send(message(), { ...OPEN, mayBegin: () => false })).toMatchObject({ cause: 'stopped' });
    expect(await connector.send(message(), { ...OPEN, mayWrite: () => false })).toMatchObject({ cause: 'fenced' });
    expect(server.accepted).toHaveLength(0);
    expect(connector.lookup).toBeUndefined();
  });
});

const rigOf = (name: string): Rig => API_RIGS.find((rig) => rig.name === name) as Rig;

describe('Postmark batches', () => {
  test('keep the outcome of each recipient, fifty at most in a request', async () => {
    const { server, connector } = await begin(rigOf('Postmark'));
    server.reply = (request) => {
      const items: { To: string }[] = JSON.parse(request.body.toString());
      const answers = items.map(({ To }) => {
        const number = Number(/(\d+)@/.exec(To)?.[1]);
        if (number % 3 === 0) return { ErrorCode: 0, Message: 'OK', MessageID: `id-${number}` };
        if (number % 3 === 1) return { ErrorCode: 406, Message: 'inactive' };
        return { ErrorCode: 300, Message: "Invalid 'From' address" };
      });
      return { status: 200, json: answers };
    };
    const outcomes = await Promise.all(
      Array.from({ length: 120 }, (_, index) =>
        connector.send(message({ deliveryId: `d${index}`, envelopeTo: `r${index}@contacts.example` }), OPEN),
      ),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (index % 3 === 0) expect(outcome).toMatchObject({ kind: 'accepted', providerMessageId: `id-${index}` });
      else expect(outcome).toMatchObject({ kind: 'permanent', scope: index % 3 === 1 ? 'address' : 'sender' });
    }
    const sizes = server.requests.map((request) => JSON.parse(request.body.toString()).length);
    // They are under way at once, and the smallest may be read first.
    expect(sizes.sort((a, b) => b - a)).toEqual([50, 50, 20]);
  });

  test('leave out what was stopped while the connection was made', async () => {
    const { server, connector } = await begin(rigOf('Postmark'));
    server.reply = (request) => rigOf('Postmark').says('accepted', request);
    let asked = 0;
    const outcomes = await Promise.all([
      connector.send(message({ deliveryId: 'a', envelopeTo: 'a@contacts.example' }), OPEN),
      connector.send(message({ deliveryId: 'b', envelopeTo: 'b@contacts.example' }), {
        ...OPEN,
        mayBegin: () => asked++ === 0,
      }),
      connector.send(message({ deliveryId: 'c', envelopeTo: 'c@contacts.example' }), OPEN),
    ]);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['accepted', 'not-sent', 'accepted']);
    const arrived = server.requests.flatMap((request) => rigOf('Postmark').arrived(request));
    expect(arrived.map(({ to }) => to)).toEqual(['a@contacts.example', 'c@contacts.example']);
  });

  test('answered with another number of results are unknown', async () => {
    const { server, connector } = await begin(rigOf('Postmark'));
    server.reply = () => ({ status: 200, json: [] });
    expect(await connector.send(message(), OPEN)).toMatchObject({ kind: 'unknown' });
  });
});

describe('looking up what is unknown', () => {
  const query = {
    correlation: CORRELATION,
    envelopeTo: 'joerg@contacts.example',
    begunAt: new Date(1_700_000_000_000),
  };

  test('Postmark finds it by its metadata', async () => {
    const { server, connector } = await begin(rigOf('Postmark'));
    server.reply = ({ path, query: asked }) => {
      expect(path).toBe('/messages/outbound');
      expect(asked.get('metadata_sally')).toBe(CORRELATION);
      return { status: 200, json: { TotalCount: 1, Messages: [{ MessageID: 'id-1', Status: 'Sent' }] } };
    };
    expect(await connector.lookup?.(query)).toEqual({ found: true, providerMessageId: 'id-1' });
    server.reply = () => ({ status: 200, json: { TotalCount: 0, Messages: [] } });
    expect(await connector.lookup?.(query)).toEqual({ found: false });
    server.reply = () => ({ status: 500 });
    expect(await connector.lookup?.(query)).toBeNull();
  });

  test('Mailgun finds it among the recipient’s events by its variable', async () => {
    const { server, connector } = await begin(rigOf('Mailgun'));
    const event = (event: string, sally: string) => ({
      event,
      'user-variables': { sally },
      message: { headers: { 'message-id': 'mg-1@acme.example' } },
    });
    server.reply = ({ path, query: asked }) => {
      expect(path).toBe('/v3/mg.acme.example/events');
      expect(asked.get('recipient')).toBe('joerg@contacts.example');
      expect(Number(asked.get('begin'))).toBeLessThan(1_700_000_000);
      return { status: 200, json: { items: [event('accepted', 'another'), event('accepted', CORRELATION)] } };
    };
    const replaced = 'mg-1@acme.example';
    expect(await connector.lookup?.(query)).toEqual({ found: true, providerMessageId: replaced, messageId: replaced });
    server.reply = () => ({
      status: 200,
      json: { items: [event('accepted', 'another'), event('rejected', CORRELATION)] },
    });
    expect(await connector.lookup?.(query)).toEqual({ found: false });
    await server.stop();
    expect(await connector.lookup?.(query)).toBeNull();
  });

  test('SES and SendGrid have none', () => {
    for (const name of ['SES', 'SendGrid']) {
      expect(connect(rigOf(name), { endpoint: 'http://127.0.0.1:1' }).lookup).toBeUndefined();
    }
  });
});
