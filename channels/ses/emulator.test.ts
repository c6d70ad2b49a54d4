import type { Server } from 'node:http';
import startEmulator from 'aws-ses-v2-local';
import { z } from 'zod';
import type { Connector } from '../connector';
import { httpOptions } from '../http';
import { createComposer } from '../mime';
import { createSesConnector } from './index';

/** SES as somebody else understood it, instead of our own scripted server. */
const ACCOUNT = {
  DedicatedIpAutoWarmupEnabled: false,
  Details: {
    AdditionalContactEmailAddresses: [],
    ContactLanguage: 'EN',
    MailType: 'MARKETING',
    ReviewDetails: { CaseId: '1', Status: 'GRANTED' },
    UseCaseDescription: '',
    WebsiteURL: 'https://acme.example',
  },
  EnforcementStatus: 'HEALTHY',
  ProductionAccessEnabled: true,
  SendingEnabled: true,
  SendQuota: { Max24HourSend: 1000, MaxSendRate: 14, SentLast24Hours: 0 },
  SuppressionAttributes: { SuppressedReasons: [] },
};

const stored = z.object({
  emails: z.array(
    z.object({
      messageId: z.string(),
      from: z.string(),
      destination: z.object({ to: z.array(z.string()) }),
      subject: z.string(),
      body: z.object({ text: z.string(), html: z.string() }),
    }),
  ),
});

let emulator: Server;
let endpoint: string;
let connector: Connector;

beforeAll(async () => {
  process.env.AWS_SES_ACCOUNT = JSON.stringify(ACCOUNT);
  emulator = await startEmulator({ host: '127.0.0.1', port: 0 });
  const address = emulator.address();
  endpoint = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  connector = createSesConnector({
    region: 'eu-central-1',
    endpoint,
    accessKeyId: 'AKIAEXAMPLE',
    secretAccessKey: 'secret',
    configurationSet: 'bulk',
    http: httpOptions(),
  });
});

afterAll(async () => {
  await connector.close(0);
  await new Promise((resolve) => emulator.close(resolve));
  delete process.env.AWS_SES_ACCOUNT;
});

test('takes what the connector sends, and reads from it what was composed', async () => {
  const composed = createComposer({
    from: { name: 'Änne', address: 'news@acme.example' },
    replyTo: null,
    listId: null,
    feedbackId: null,
    autoSubmitted: false,
    extra: {},
  })({
    to: { name: 'Jörg', address: 'joerg@contacts.example' },
    subject: 'Grüße 🎉',
    text: 'Hällo',
    html: '<p>Hällo</p>',
    messageId: 'a.b@acme.example',
    date: new Date(0),
    unsubscribeUrl: null,
    encoding: '7bit',
  });
  const outcome = await connector.send(
    {
      deliveryId: 'd',
      correlation: 'source.delivery',
      lane: 'l',
      envelopeFrom: 'news@acme.example',
      envelopeTo: 'joerg@contacts.example',
      ...composed,
    },
    { mayBegin: () => true, mayWrite: () => true },
  );
  const { emails } = stored.parse(await (await fetch(`${endpoint}/store`)).json());
  expect(emails).toHaveLength(1);
  expect(outcome).toEqual({
    kind: 'accepted',
    providerMessageId: emails[0]?.messageId,
    messageId: `${emails[0]?.messageId}@eu-central-1.amazonses.com`,
    reply: 'HTTP 200',
  });
  expect(emails[0]).toMatchObject({ subject: 'Grüße 🎉', body: { text: 'Hällo', html: '<p>Hällo</p>' } });
  expect(emails[0]?.from).toContain('news@acme.example');
  expect(emails[0]?.destination.to.join()).toContain('joerg@contacts.example');
});

test('answers the check', async () => {
  expect(await connector.verify()).toMatchObject({ ok: true, capabilities: ['production access'] });
});
