import {
  type Script,
  ScriptedSmtpServer,
  type ScriptedSmtpServerOptions,
  testAuthority,
} from '../../test/support/scripted-smtp-server';
import type { Connector } from '../connector';
import { mayLogInUnencrypted } from './handshake';
import { createSmtpConnector, type SmtpOptions, smtpOptions } from './index';

const LOGIN = { username: 'sally', password: 'pässwort' };
const password = (mechanism: 'PLAIN' | 'LOGIN' | null = null) => ({ kind: 'password' as const, ...LOGIN, mechanism });

let server: ScriptedSmtpServer;
let connector: Connector;

async function begin(
  serverOptions: ScriptedSmtpServerOptions & { script?: Script },
  options: Omit<Partial<SmtpOptions>, 'timeouts'> = {},
  greetingMs = 10_000,
) {
  server = await ScriptedSmtpServer.start(serverOptions);
  connector = createSmtpConnector(
    smtpOptions({
      host: '127.0.0.1',
      port: server.port,
      certificateAuthority: testAuthority(),
      clientName: 'sally.test',
      ...options,
      timeouts: { connectMs: 10_000, greetingMs, commandMs: 10_000, finalDotMs: 10_000 },
    }),
  );
}

afterEach(async () => {
  await connector.close(0);
  await server.stop();
});

const sendOne = () =>
  connector.send(
    {
      deliveryId: 'm1',
      correlation: 's.m1',
      lane: 'l',
      envelopeFrom: 'a@sender.example',
      envelopeTo: 'b@recipient.example',
      content: Buffer.from('X-Sally-Delivery: m1\r\n\r\nText\r\n'),
      eightBit: false,
      smtpUtf8: false,
    },
    { mayBegin: () => true, mayWrite: () => true },
  );

describe('TLS', () => {
  test('STARTTLS is used where offered, and EHLO is said again', async () => {
    await begin({ certificate: 'localhost' });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
    expect(server.accepted[0]?.encrypted).toBe(true);
    expect(server.transcript.slice(0, 3)).toEqual(['1: EHLO sally.test', '1: STARTTLS', '1: EHLO sally.test']);
    expect(await connector.verify()).toMatchObject({ ok: true, tls: expect.stringMatching(/^TLSv1\.[23] /) });
  });

  test('many messages over TLS arrive whole', async () => {
    await begin({ certificate: 'localhost' });
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => sendOne()));
    expect(outcomes.every((outcome) => outcome.kind === 'accepted')).toBe(true);
    expect(server.accepted.every((accepted) => accepted.raw.endsWith('\r\nText\r\n'))).toBe(true);
  });

  test('from the first byte', async () => {
    await begin({ implicitTls: true }, { tls: 'implicit', host: 'localhost' });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
    expect(server.accepted[0]?.encrypted).toBe(true);
  });

  test.each(['auto', 'implicit'] as const)('a certificate for another name is refused (%s)', async (mode) => {
    await begin({ certificate: 'mismatch', implicitTls: mode === 'implicit' }, { tls: mode });
    expect(await sendOne()).toMatchObject({
      kind: 'unavailable',
      cause: 'tls',
      reply: expect.stringContaining('ALTNAME'),
    });
    expect(server.messages).toBe(0);
  });

  test('an authority nobody trusts is refused, unless verification is switched off', async () => {
    await begin({ certificate: 'localhost' }, { certificateAuthority: null });
    expect(await sendOne()).toMatchObject({ kind: 'unavailable', cause: 'tls' });
    await connector.close(0);
    await server.stop();
    await begin({ certificate: 'mismatch' }, { certificateAuthority: null, verifyCertificate: false });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
  });

  test('required, but not offered', async () => {
    await begin({}, { tls: 'required' });
    expect(await sendOne()).toMatchObject({ kind: 'unavailable', cause: 'tls' });
  });

  test('offered, but refused', async () => {
    await begin({
      certificate: 'localhost',
      script: ({ step }) => (step === 'starttls' ? '454 4.7.0 No TLS now' : undefined),
    });
    expect(await sendOne()).toMatchObject({ kind: 'unavailable', cause: 'tls' });
    expect(server.messages).toBe(0);
  });

  test('off', async () => {
    await begin({ certificate: 'localhost' }, { tls: 'off' });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
    expect(server.accepted[0]?.encrypted).toBe(false);
  });

  test('what came in plain before TLS is thrown away', async () => {
    // Someone in the middle adds an answer to EHLO that offers nothing; the true one comes encrypted.
    const injected = '220 Go ahead\r\n250 evil.example';
    await begin({ certificate: 'localhost', script: ({ step }) => (step === 'starttls' ? injected : undefined) });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
    expect(server.accepted[0]?.encrypted).toBe(true);
    expect(connector.offers()).toMatchObject({ eightBitMime: true });
  });
});

describe('log-in', () => {
  test.each([
    ['PLAIN', password()],
    ['PLAIN', password('PLAIN')],
    ['LOGIN', password('LOGIN')],
    ['XOAUTH2', { kind: 'oauth2' as const, username: LOGIN.username, accessToken: async () => LOGIN.password }],
  ])('%s', async (mechanism, credentials) => {
    await begin({ login: LOGIN }, { credentials });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
    expect(server.transcript.some((line) => line.includes(`AUTH ${mechanism}`))).toBe(true);
    expect(await connector.verify()).toMatchObject({ ok: true, authenticated: true, tls: null });
  });

  test.each([
    ['password', { kind: 'password' as const, username: 'sally', password: 'wrong', mechanism: null }],
    ['LOGIN', { kind: 'password' as const, username: 'sally', password: 'wrong', mechanism: 'LOGIN' as const }],
    ['token', { kind: 'oauth2' as const, username: 'sally', accessToken: async () => 'expired' }],
  ])('535 for a wrong %s: the route is unavailable, no recipient named', async (_name, credentials) => {
    await begin({ login: LOGIN }, { credentials });
    const outcome = await sendOne();
    expect(outcome).toMatchObject({
      kind: 'unavailable',
      cause: 'authentication',
      reply: expect.stringMatching(/^535/),
    });
    expect(JSON.stringify(outcome)).not.toContain('wrong');
    expect(server.messages).toBe(0);
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'authentication' });
  });

  test('a token that cannot be had is an authentication failure', async () => {
    await begin(
      { login: LOGIN },
      {
        credentials: {
          kind: 'oauth2',
          username: 'sally',
          accessToken: () => Promise.reject(new Error('secret details')),
        },
      },
    );
    expect(await sendOne()).toMatchObject({ kind: 'unavailable', cause: 'authentication', reply: 'no access token' });
  });

  test('no common mechanism', async () => {
    await begin({ extensions: ['AUTH GSSAPI'] }, { credentials: password() });
    expect(await sendOne()).toMatchObject({ kind: 'unavailable', cause: 'authentication' });
  });

  test('530 at MAIL: the route wants a log-in', async () => {
    await begin({ script: ({ step }) => (step === 'mail' ? '530 5.7.0 Authentication required' : undefined) });
    expect(await sendOne()).toMatchObject({ kind: 'unavailable', cause: 'authentication' });
  });

  test('the log-in comes after TLS', async () => {
    await begin({ login: LOGIN, certificate: 'localhost' }, { credentials: password() });
    expect(await sendOne()).toMatchObject({ kind: 'accepted' });
    const verbs = server.transcript.map((line) => line.split(' ')[1]);
    expect(verbs.indexOf('STARTTLS')).toBeLessThan(verbs.indexOf('AUTH'));
  });

  test.each([
    ['127.0.0.1', 'auto', true],
    ['127.1.2.3', 'required', true],
    ['localhost', 'auto', true],
    ['::1', 'auto', true],
    ['relay.example', 'auto', false],
    ['10.0.0.5', 'auto', false],
    ['127.0.0.1.evil.example', 'auto', false],
    ['relay.example', 'off', true],
  ] as const)('a password in plain to %s with TLS %s: %s', (host, tls, allowed) => {
    expect(mayLogInUnencrypted({ host, tls })).toBe(allowed);
  });
});

describe('verify', () => {
  test('tells what the server offers and leaves politely', async () => {
    await begin({});
    expect(await connector.verify()).toEqual({
      ok: true,
      greeting: '220 scripted.test ESMTP',
      capabilities: ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE', 'ENHANCEDSTATUSCODES'],
      tls: null,
      authenticated: false,
    });
    expect(server.messages).toBe(0);
  });

  test('tells what is wrong', async () => {
    await begin({ script: ({ step }) => (step === 'greeting' ? 'hello there' : undefined) }, {}, 700);
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'protocol' });
    server.script = ({ step }) => (step === 'greeting' ? { silent: true } : undefined);
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'connect' });
    await server.stop();
    expect(await connector.verify()).toMatchObject({
      ok: false,
      cause: 'connect',
      reply: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('an answer before the question is no answer', async () => {
    await begin({ script: ({ step }) => (step === 'greeting' ? '220 hi\r\n250 I know what you will ask' : undefined) });
    expect(await connector.verify()).toMatchObject({ ok: false, cause: 'protocol' });
  });
});
