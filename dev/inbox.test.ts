import { connect } from 'node:net';
import { createTransport } from 'nodemailer';
import { z } from 'zod';
import { type Inbox, startInbox } from './inbox';

const summaries = z.object({
  messages: z.array(z.object({ id: z.number(), subject: z.string(), envelopeTo: z.array(z.string()) })),
  count: z.number(),
  received: z.number(),
});
const detail = z.object({ text: z.string().nullable(), html: z.string().nullable(), subject: z.string() });

let inbox: Inbox;

beforeEach(async () => {
  inbox = await startInbox({ smtpPort: 0, httpPort: 0, capacity: 5 });
});
afterEach(() => inbox.close());

async function list(query = ''): Promise<z.infer<typeof summaries>> {
  return summaries.parse(await (await fetch(`${inbox.httpUrl}/api/messages${query}`)).json());
}

/** Writes raw bytes in the given pieces and returns everything the server said until it closed. */
function talk(...pieces: (string | Buffer)[]): Promise<string> {
  const socket = connect(Number(new URL(inbox.smtpUrl).port), '127.0.0.1');
  return new Promise((resolve, reject) => {
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
      const piece = pieces.shift();
      if (piece !== undefined) socket.write(piece);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

test('captures what a real client sends, and shows it over HTTP', async () => {
  const transport = createTransport(inbox.smtpUrl);
  await transport.sendMail({
    from: 'sender@example.org',
    to: ['ada@example.org', 'bob@example.org'],
    subject: 'Grüße',
    text: '.starts with a dot\r\n..two\r\nend',
    html: '<p>Hallo</p>',
  });
  transport.close();
  const { messages, count } = await list('?to=ADA');
  expect(count).toBe(1);
  expect(messages).toMatchObject([{ id: 1, subject: 'Grüße', envelopeTo: ['ada@example.org', 'bob@example.org'] }]);
  expect((await list('?to=nobody')).messages).toEqual([]);
  expect((await list('?search=gr%C3%BC')).messages).toHaveLength(1);
  const message = detail.parse(await (await fetch(`${inbox.httpUrl}/api/messages/1`)).json());
  expect(message.text).toBe('.starts with a dot\r\n..two\r\nend');
  expect(message.html).toBe('<p>Hallo</p>');
  const raw = await (await fetch(`${inbox.httpUrl}/api/messages/1/raw`)).text();
  expect(raw).toContain('Subject: =?UTF-8?');
});

test('takes pipelined messages in one packet and answers each command', async () => {
  const one = 'MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\nSubject: n\r\n\r\n..dot\r\n.\r\n';
  const answer = await talk(`EHLO test\r\n`, `${one}${one}RSET\r\nDATA\r\nQUIT\r\n`);
  expect(answer).toMatch(/250-PIPELINING[\s\S]*250-8BITMIME\r\n250-SMTPUTF8/);
  expect(answer.match(/250 2\.0\.0 Ok: captured/g)).toHaveLength(2);
  expect(answer).toMatch(/250 2\.0\.0 Ok\r\n503 5\.5\.1 RCPT first\r\n221/);
  expect(inbox.store.raw(1)?.toString()).toBe('Subject: n\r\n\r\n.dot\r\n');
});

test('finds the end of a message that is split over packets anywhere', async () => {
  const message = 'Subject: split\r\n\r\nbody\r\n';
  const all = `MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n${message}.\r\nQUIT\r\n`;
  const port = Number(new URL(inbox.smtpUrl).port);
  for (const cut of [all.indexOf(message) + 1, all.length - 11, all.length - 10, all.length - 9, all.length - 8]) {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(all.slice(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.write(all.slice(cut));
    await new Promise((resolve) => socket.once('close', resolve).resume());
  }
  const raws = [1, 2, 3, 4, 5].map((id) => inbox.store.raw(id)?.toString());
  expect(raws).toEqual(Array.from({ length: 5 }, () => message));
});

test('refuses what is too large, and commands out of order', async () => {
  const answer = await talk('MAIL FROM:<a@x.org> SIZE=99999999\r\nRCPT TO:<b@x.org>\r\nMAIL FROM:a\r\nHUH\r\nQUIT\r\n');
  expect(answer).toMatch(/552 5\.3\.4.*\r\n503 .*\r\n501 .*\r\n500 .*\r\n221/);
  expect(await talk('x'.repeat(5_000))).toContain('500 5.5.2 Line too long');
});

test('keeps the newest messages only, and pages forward with "after"', async () => {
  for (let n = 1; n <= 8; n += 1)
    inbox.store.add('a@x.org', ['b@x.org'], Buffer.from(`Subject: ${n}\r\n\r\n`), new Date());
  const all = await list();
  expect(all.messages.map((message) => message.subject)).toEqual(['8', '7', '6', '5', '4']);
  expect(all).toMatchObject({ count: 5, received: 8 });
  expect((await list('?after=6&limit=1')).messages.map((message) => message.id)).toEqual([7]);
  expect((await fetch(`${inbox.httpUrl}/api/messages/1`)).status).toBe(404);
  expect((await fetch(`${inbox.httpUrl}/api/messages`, { method: 'DELETE' })).status).toBe(204);
  expect(await list()).toMatchObject({ count: 0, received: 0 });
});

test('a message cannot run scripts, and the page cannot be read under another name', async () => {
  inbox.store.add('a@x.org', ['b@x.org'], Buffer.from('Content-Type: text/html\r\n\r\n<script>x</script>'), new Date());
  const html = await fetch(`${inbox.httpUrl}/api/messages/1/html`);
  expect(html.headers.get('content-security-policy')).toMatch(/^sandbox allow-popups [^;]*; default-src 'none'/);
  expect((await fetch(`${inbox.httpUrl}/api/messages?limit=0`)).status).toBe(400);
  expect((await fetch(`${inbox.httpUrl}/`)).status).toBe(200);
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(inbox.httpUrl).port), '127.0.0.1', () => {
      socket.end('GET /api/messages HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
    });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('close', () => resolve(text));
  });
  expect(answer).toContain('403 Forbidden');
});
