import type { SendGate } from '../../channels/connector';
import { createSmtpConnector, smtpOptions } from '../../channels/smtp';
import { sendWithNodemailer } from '../reference-nodemailer';
import { SinkControl } from './client';
import { type RunningSink, startSink } from './server';
import type { SinkBehaviour } from './session';

const GATE: SendGate = { mayBegin: () => true, mayWrite: () => true };
const QUIET: SinkBehaviour = { latencyMs: 0, pacePerSecond: 0, dropEvery: 0, dropAt: 'before-dot-answer' };

let sink: RunningSink;
let control: SinkControl;

async function start(behaviour: Partial<SinkBehaviour> = {}): Promise<void> {
  sink = await startSink({ port: 0, controlPort: 0 }, { ...QUIET, ...behaviour });
  control = new SinkControl(sink.controlPort);
}

afterEach(() => sink.stop());

async function send(
  ids: string[],
  content = (id: string) => `Message-ID: <${id}@x>\r\n\r\n.dot\r\n`,
  maxPipelined = 16,
) {
  const connector = createSmtpConnector(
    smtpOptions({ host: '127.0.0.1', port: sink.port, maxConnections: 2, maxPipelined }),
  );
  const outcomes = await Promise.all(
    ids.map((id) =>
      connector.send(
        {
          deliveryId: id,
          correlation: `source.${id}`,
          lane: 'l',
          envelopeFrom: 'a@x.example',
          envelopeTo: `${id}@y.example`,
          content: Buffer.from(content(id)),
          eightBit: false,
          smtpUtf8: false,
        },
        GATE,
      ),
    ),
  );
  await connector.close(0);
  return outcomes.map((outcome) => outcome.kind);
}

test.each([
  ['DATA', 1],
  ['BDAT', 16],
])('takes messages by %s, dots and all', async (_name, maxPipelined) => {
  await start();
  const ids = Array.from({ length: 100 }, (_, n) => `m${n}`);
  const content = (id: string) => `Message-ID: <${id}@x>\r\n\r\n.dot\r\n.\r\n`;
  expect(await send(ids, content, maxPipelined)).toEqual(ids.map(() => 'accepted'));
  const octets = ids.reduce((sum, id) => sum + content(id).length, 0);
  expect(await control.counts()).toMatchObject({ messages: 100, tokens: 100, duplicates: 0, malformed: 0, octets });
});

test('counts by token, tells duplicates, begin and end', async () => {
  await start();
  const before = performance.timeOrigin + performance.now();
  expect(await send(['a', 'b', 'c'])).toEqual(['accepted', 'accepted', 'accepted']);
  await send(['b']);
  expect(await control.counts()).toMatchObject({ messages: 4, tokens: 3, duplicates: 1, malformed: 0 });
  const tokens = await control.tokens();
  expect(Object.keys(tokens).sort()).toEqual(['a@x', 'b@x', 'c@x']);
  expect(tokens['b@x']).toMatchObject({ count: 2, recipient: 'b@y.example' });
  expect(tokens['b@x']?.acceptedAt).toHaveLength(2);
  expect(tokens['a@x']?.begunAt).toBeGreaterThanOrEqual(before);
  expect(tokens['a@x']?.acceptedAt[0]).toBeGreaterThanOrEqual(tokens['a@x']?.begunAt ?? Number.POSITIVE_INFINITY);
  expect(await control.begunSince(before)).toBe(3);
  expect(await control.begunSince(99999999999999)).toBe(0);
  await control.reset();
  expect(await control.counts()).toMatchObject({ messages: 0, tokens: 0 });
});

test('a message that is not what it claims to be is malformed', async () => {
  await start();
  await send(['a'], () => 'Subject: no token\r\n\r\nText\r\n');
  await send(['b'], () => 'Message-ID: <b@x>\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\nText\r\n');
  await send(['c'], () => 'Message-ID: <c@x>\r\nno field\r\n\r\nText\r\n');
  await send(
    ['d'],
    () => 'Message-ID: <d@x>\r\nContent-Type: multipart/mixed; boundary="q"\r\n\r\n--q\r\n\r\nText\r\n--q--\r\n',
  );
  expect(await control.counts()).toMatchObject({ messages: 4, malformed: 3 });
});

test('drops every n-th, adds latency and keeps a pace', async () => {
  await start({ dropEvery: 3 });
  // One at a time: of those behind it nothing would be known either.
  const kinds = await send(['a', 'b', 'c', 'd', 'e'], undefined, 1);
  expect(kinds.filter((kind) => kind === 'unknown')).toHaveLength(1);
  expect(await control.counts()).toMatchObject({ dropped: 1 });
  expect(await control.behave({ dropEvery: 0, latencyMs: 30 })).toBe(true);
  const delayed = performance.now();
  await send(['f']);
  // Greeting, EHLO, message: three round trips.
  expect(performance.now() - delayed).toBeGreaterThanOrEqual(3 * 29);
  await control.behave({ latencyMs: 0, pacePerSecond: 50 });
  const paced = performance.now();
  expect(await send(['g', 'h', 'i', 'j', 'k'])).toEqual(Array(5).fill('accepted'));
  expect(performance.now() - paced).toBeGreaterThanOrEqual(4 * 20 - 5);
  expect(await control.behave({ pacePerSecond: -1 })).toBe(false);
});

test("takes nodemailer's messages as well", async () => {
  await start();
  const result = await sendWithNodemailer({
    port: sink.port,
    count: 30,
    dkim: null,
    connections: 2,
    message: (n) => ({
      from: { name: 'A', address: 'a@x.example' },
      to: { name: 'B', address: `${n}@y.example` },
      subject: 'Grüße',
      text: 'Text\n.\n',
      html: '<p>ä</p>',
      messageId: `<n${n}@x.example>`,
      headers: {},
    }),
  });
  expect(result).toMatchObject({ sent: 30, failed: 0 });
  expect(await control.counts()).toMatchObject({ messages: 30, tokens: 30, mimeParts: 60, malformed: 0 });
});
