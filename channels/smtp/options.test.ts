import { parseSmtpUrl, smtpOptionsFromEnvironment } from './options';

const options = (url: string) => {
  const parsed = parseSmtpUrl(url);
  if (!parsed.ok) {
    throw new Error(parsed.message);
  }
  return parsed.options;
};

test('a full URL', () => {
  expect(
    options('smtp://us%40er:p%3Ass@mail.example.com:2525?tls=required&connections=4&messages=50&finalDotTimeout=900'),
  ).toMatchObject({
    host: 'mail.example.com',
    port: 2525,
    tls: 'required',
    verifyCertificate: true,
    credentials: { kind: 'password', username: 'us@er', password: 'p:ss', mechanism: null },
    maxConnections: 4,
    maxMessagesPerConnection: 50,
    timeouts: { finalDotMs: 900, commandMs: 300_000 },
  });
});

test('defaults: submission port, RFC 5321 time-outs, verified certificates, ten connections', () => {
  expect(options('smtp://relay.example')).toMatchObject({
    port: 587,
    tls: 'auto',
    credentials: null,
    verifyCertificate: true,
    maxConnections: 10,
    timeouts: { connectMs: 30_000, greetingMs: 300_000, commandMs: 300_000, finalDotMs: 600_000 },
  });
  expect(options('smtps://relay.example')).toMatchObject({ port: 465, tls: 'implicit' });
  expect(options('smtp://[::1]:25').host).toBe('::1');
  expect(options('smtp://u:p@h?auth=login').credentials).toMatchObject({ mechanism: 'LOGIN' });
  expect(options('smtp://u:token@h?auth=xoauth2').credentials).toMatchObject({ kind: 'oauth2' });
});

test.each([
  'http://mail.example.com',
  'mail.example.com:25',
  'smtp://',
  'smtp://host/path',
  'smtp://user@host',
  'smtp://us%zzer:pass@host',
  'smtp://host?connections=0',
  'smtp://host?unknown=1',
  'smtp://host?tls=sometimes',
  'smtps://host?tls=off',
  'smtp://host?name=a%0d%0aQUIT',
])('refused: %s', (url) => {
  expect(parseSmtpUrl(url).ok).toBe(false);
});

test('a refusal never repeats the password', () => {
  const refused = parseSmtpUrl('smtp://user:geheim@host?connections=none');
  expect(refused).toMatchObject({ ok: false });
  expect(JSON.stringify(refused)).not.toContain('geheim');
});

test("the spec's variables", () => {
  expect(smtpOptionsFromEnvironment({})).toBeNull();
  expect(
    smtpOptionsFromEnvironment({ SMTP_HOST: 'h', SMTP_PORT: '587', SMTP_USERNAME: 'u', SMTP_PASSWORD: 'p' }),
  ).toMatchObject({ ok: true, options: { host: 'h', port: 587, tls: 'auto', credentials: { username: 'u' } } });
  expect(smtpOptionsFromEnvironment({ SMTP_HOST: 'h', SMTP_PORT: '465' })).toMatchObject({
    options: { tls: 'implicit', credentials: null },
  });
  expect(smtpOptionsFromEnvironment({ SMTP_URL: 'smtp://a:1', SMTP_HOST: 'b' })).toMatchObject({
    options: { host: 'a', port: 1 },
  });
  expect(smtpOptionsFromEnvironment({ SMTP_HOST: 'h', SMTP_USERNAME: 'u' })).toMatchObject({ ok: false });
  expect(smtpOptionsFromEnvironment({ SMTP_HOST: 'h', SMTP_PORT: 'x' })).toMatchObject({ ok: false });
  expect(smtpOptionsFromEnvironment({ SMTP_URL: '', SMTP_HOST: '' })).toBeNull();
});
