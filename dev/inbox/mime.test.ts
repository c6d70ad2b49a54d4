import { createTransport } from 'nodemailer';
import { decodeWords, headerValue, parseMessage } from './mime';

async function compose(message: object): Promise<Buffer> {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
  const { message: raw } = await transport.sendMail(message);
  if (!Buffer.isBuffer(raw)) throw new Error('no buffer');
  return raw;
}

test('reads what nodemailer writes: both parts, encoded header words, an attachment', async () => {
  const subject = 'Grüße aus Łódź — 日本語の件名が長いので複数の語に分かれます 🎉 und noch etwas mehr Text';
  const text = 'Zeile eins\nZeile zwei mit Umlauten äöü\n.Punkt am Anfang\n';
  const html = `<p>Hallo Ödön, ${'sehr lang '.repeat(200)}</p>`;
  const raw = await compose({
    from: { name: 'Zoë “Quote” Ångström', address: 'zoe@example.org' },
    to: 'ada@example.org',
    subject,
    text,
    html,
    attachments: [{ filename: 'naïve file.txt', content: 'twelve bytes' }],
  });
  const message = parseMessage(raw);
  expect(headerValue(message.headers, 'SUBJECT')).toBe(subject);
  expect(headerValue(message.headers, 'from')).toContain('Zoë “Quote” Ångström');
  expect(message.text?.replaceAll('\r\n', '\n').trimEnd()).toBe(text.trimEnd());
  expect(message.html?.trimEnd()).toBe(html);
  expect(message.attachments).toMatchObject([{ contentType: 'text/plain', size: 12 }]);
});

test('a character split over two encoded words is put together again', () => {
  expect(decodeWords('=?utf-8?B?w7w=?= =?utf-8?Q?=C3?=\r\n =?utf-8?Q?=BC?= plain =?iso-8859-1?Q?=FC_?=x')).toBe(
    'üü plain ü x',
  );
});

test.each([
  ['an empty message', ''],
  ['a header only', 'Subject: x'],
  ['no line break at the end', 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b'],
  ['a missing closing delimiter', 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello'],
  ['an unknown charset', 'Content-Type: text/plain; charset=nonsense\r\n\r\nhello'],
  ['broken base64', 'Content-Transfer-Encoding: base64\r\n\r\n***'],
])('does not throw on %s', (_name, raw) => {
  const message = parseMessage(Buffer.from(raw));
  expect(Array.isArray(message.headers)).toBe(true);
});

test('nesting without end is cut off', () => {
  let raw = 'Content-Type: text/plain\r\n\r\ndeep';
  for (let level = 0; level < 50; level += 1) {
    raw = `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n${raw}\r\n--b${level}--\r\n`;
  }
  expect(parseMessage(Buffer.from(raw)).text).toBeNull();
});
