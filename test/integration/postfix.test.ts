import type { Connector, OutgoingMessage } from '../../channels/connector';
import { createComposer } from '../../channels/mime';
import { createSmtpConnector, smtpOptions } from '../../channels/smtp';
import { Postfix, postfixMissing } from '../support/postfix';
import { testAuthority } from '../support/scripted-smtp-server';
import { until } from '../support/until';

const missing = postfixMissing();
if (missing !== null) {
  test(`SMTP against a real Postfix was not run here: ${missing}`, () => {
    expect(postfixMissing()).toBe(missing);
  });
} else {
  let postfix: Postfix;
  let connector: Connector;

  beforeAll(async () => {
    postfix = await Postfix.start(['joerg', 'ada']);
    connector = createSmtpConnector(
      smtpOptions({
        host: 'localhost',
        port: postfix.port,
        tls: 'required',
        certificateAuthority: testAuthority(),
        maxConnections: 4,
        maxMessagesPerConnection: 40,
      }),
    );
  });

  afterAll(async () => {
    await connector.close(1_000);
    await postfix.stop();
  });

  const compose = createComposer({
    from: { name: 'Änne', address: 'news@acme.example' },
    replyTo: null,
    listId: 'acme.example',
    feedbackId: null,
    autoSubmitted: false,
    extra: {},
  });

  function message(
    id: string,
    to: string,
    change: { text?: string; encoding?: '7bit' | '8bit' } = {},
  ): OutgoingMessage {
    const composed = compose({
      to: { name: 'Jörg', address: to },
      subject: 'Grüße 🎉',
      text: change.text ?? 'Hällo\r\n.a dot\r\n..\r\n',
      html: '<p>Hällo</p>',
      messageId: `${id}@acme.example`,
      date: new Date(0),
      unsubscribeUrl: 'https://sally.example/u/token',
      encoding: change.encoding ?? '8bit',
    });
    return {
      deliveryId: id,
      correlation: `source.${id}`,
      lane: 'pool/default',
      envelopeFrom: 'news@acme.example',
      envelopeTo: to,
      ...composed,
    };
  }

  const OPEN = { mayBegin: () => true, mayWrite: () => true };

  async function delivered(mailbox: string, count: number): Promise<Buffer[]> {
    await until(`${count} are in the mailbox`, () => postfix.delivered(mailbox).length >= count);
    return postfix.delivered(mailbox);
  }

  describe('a real Postfix', () => {
    test('delivers what was composed, octet by octet', async () => {
      const sent = message('one', 'joerg@contacts.example');
      const outcome = await connector.send(sent, OPEN);
      expect(outcome).toMatchObject({ kind: 'accepted', reply: expect.stringContaining('queued as') });
      const [mail] = await delivered('joerg', 1);
      const lines = sent.content.toString('latin1').replaceAll('\r\n', '\n');
      expect(mail?.toString('latin1').endsWith(lines)).toBe(true);
      expect(mail?.toString('latin1')).toMatch(/with (?:UTF8SMTPS|ESMTPS) /);
    });

    test('says who is unknown, what it does not relay, and what is too big', async () => {
      const [unknown, foreign, big] = await Promise.all([
        connector.send(message('u', 'nobody@contacts.example'), OPEN),
        connector.send(message('f', 'somebody@elsewhere.example'), OPEN),
        connector.send(message('b', 'ada@contacts.example', { text: 'x'.repeat(120_000) }), OPEN),
      ]);
      expect(unknown).toMatchObject({ kind: 'permanent', scope: 'address', suppress: true, enhanced: '5.1.1' });
      expect(foreign).toMatchObject({ kind: 'permanent', scope: 'sender', suppress: false });
      expect(big).toMatchObject({ kind: 'permanent', scope: 'message', suppress: false });
    });

    test('gets every one of many pipelined messages once', async () => {
      const ids = Array.from({ length: 200 }, (_, index) => `many-${index}`);
      const outcomes = await Promise.all(ids.map((id) => connector.send(message(id, 'ada@contacts.example'), OPEN)));
      expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['accepted']));
      const mails = await delivered('ada', 200);
      const found = mails.map((mail) => /^Message-ID: <([^@]+)@/m.exec(mail.toString('latin1'))?.[1]);
      expect(found.sort()).toEqual(ids.sort());
    });

    test('refuses some of many that stand one behind the other, and takes every other one once', async () => {
      const before = postfix.delivered('joerg').length;
      const ids = Array.from({ length: 120 }, (_, index) => `mixed-${index}`);
      const unknown = (index: number) => index % 4 === 3;
      const outcomes = await Promise.all(
        ids.map((id, index) =>
          connector.send(message(id, `${unknown(index) ? 'nobody' : 'joerg'}@contacts.example`), OPEN),
        ),
      );
      expect(outcomes.map(({ kind }) => kind)).toEqual(
        ids.map((_, index) => (unknown(index) ? 'permanent' : 'accepted')),
      );
      const mails = await delivered('joerg', before + 90);
      const found = mails.map((mail) => /^Message-ID: <([^@]+)@/m.exec(mail.toString('latin1'))?.[1]);
      expect(found.filter((id) => id?.startsWith('mixed-')).sort()).toEqual(
        ids.filter((_, index) => !unknown(index)).sort(),
      );
    });

    test('tells what it offers', async () => {
      expect(connector.offers()).toMatchObject({ eightBitMime: true, smtpUtf8: true });
      expect(await connector.verify()).toMatchObject({ ok: true, tls: expect.stringMatching(/^TLSv1/) });
      // What stood one behind the other above did so by BDAT.
      expect(await connector.verify()).toMatchObject({
        capabilities: expect.arrayContaining(['PIPELINING', 'CHUNKING']),
      });
    });
  });
}
