import fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import { decodeWords, field, parseMail, parseMailbox } from '../../test/support/mime-parser';
import { createComposer, type FixedHeader, type Mailbox, MimeError, type PersonalPart } from './index';

const FIXED: FixedHeader = {
  from: { name: 'Sally News', address: 'news@sender.example' },
  replyTo: null,
  listId: 'news.sender.example',
  feedbackId: 'run1:ws1:bulk:sally',
  autoSubmitted: false,
  extra: {},
};

const PERSONAL: PersonalPart = {
  to: { name: 'Ada Lovelace', address: 'ada@recipient.example' },
  subject: 'Your weekly news',
  text: 'Hello Ada\n.\n..dots\nBye\n',
  html: '<p>Hello Ada</p>\n<p>Bye</p>\n',
  messageId: '0198a.0198b@sender.example',
  date: new Date('2026-11-23T18:20:03.456Z'),
  unsubscribeUrl: 'https://sally.example/u/abc-DEF_123',
  encoding: '8bit',
};

const compose = (change: Partial<PersonalPart> = {}, fixed: Partial<FixedHeader> = {}) =>
  createComposer({ ...FIXED, ...fixed })({ ...PERSONAL, ...change });

const crlf = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');

/** What one header line can hold of a text: controls become spaces, lone surrogates are replaced. */
const headerText = (text: string): string =>
  Buffer.from(
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the rule under test
      .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
      .trim(),
    'utf8',
  ).toString('utf8');

/** Real-world and nasty text: emoji, right to left, combining marks, control characters, long words. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc
    .array(
      fc.constantFrom(
        'Ünal',
        'שלום',
        'مرحبا',
        '👩‍👩‍👧',
        '名前',
        'a',
        ' ',
        '  ',
        '=?UTF-8?Q?x?=',
        '"',
        '\\',
        ',',
        '<x@y>',
        '\r\n',
        'Bcc: x@y',
        '\0',
        'word'.repeat(30),
      ),
      { maxLength: 40 },
    )
    .map((parts) => parts.join('')),
);

/** Bodies with every kind of line end, dots, boundaries, long lines, trailing white space. */
const anyBody = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\n',
        '\r\n',
        '\r',
        '.',
        '..',
        '\n.\n',
        ' \n',
        '\t\n',
        '--=_sally_',
        '=',
        '=3D',
        'ä',
        '👋🏽',
        'From ',
        'x'.repeat(1200),
        '<a href="https://x.example/?a=1&amp;b=2">',
      ),
      fc.string({ unit: 'binary', maxLength: 80 }),
    ),
    { minLength: 1, maxLength: 40 },
  )
  .map((parts) => parts.join(''));

test('a plain message, byte for byte', () => {
  const { content, eightBit, smtpUtf8 } = compose();
  const boundary = /boundary="([^"]+)"/.exec(content.toString())?.[1] ?? '';
  expect(boundary).toMatch(/^=_sally_/);
  expect(content.toString().replaceAll(boundary, 'BOUNDARY')).toBe(
    [
      'From: Sally News <news@sender.example>',
      'To: Ada Lovelace <ada@recipient.example>',
      'Subject: Your weekly news',
      'Date: Mon, 23 Nov 2026 18:20:03 +0000',
      'Message-ID: <0198a.0198b@sender.example>',
      'List-Unsubscribe: <https://sally.example/u/abc-DEF_123>',
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
      'List-Id: <news.sender.example>',
      'Feedback-ID: run1:ws1:bulk:sally',
      'MIME-Version: 1.0',
      'Content-Type: multipart/alternative; boundary="BOUNDARY"',
      '',
      '--BOUNDARY',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Hello Ada',
      '.',
      '..dots',
      'Bye',
      '',
      '--BOUNDARY',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: 7bit',
      '',
      '<p>Hello Ada</p>',
      '<p>Bye</p>',
      '',
      '--BOUNDARY--',
      '',
    ].join('\r\n'),
  );
  expect([eightBit, smtpUtf8]).toEqual([false, false]);
});

test('opt-in and transactional mail says that it is automatic; extra fields and Reply-To are there', () => {
  const mail = parseMail(
    compose(
      { unsubscribeUrl: null },
      {
        autoSubmitted: true,
        listId: null,
        feedbackId: null,
        replyTo: { name: 'Hilfe, bitte', address: 'help@sender.example' },
        extra: { 'X-Campaign': 'spring' },
      },
    ).content,
  );
  expect(field(mail, 'Auto-Submitted')).toBe('auto-generated');
  expect(field(mail, 'Reply-To')).toBe('"Hilfe, bitte" <help@sender.example>');
  expect(field(mail, 'X-Campaign')).toBe('spring');
  expect([...mail.fields.keys()].filter((name) => name.startsWith('list-') || name === 'feedback-id')).toEqual([]);
});

test.each([
  ['text only', { html: null }, ['text/plain']],
  ['HTML only', { text: null }, ['text/html']],
  ['both, text first', {}, ['text/plain', 'text/html']],
])('%s', (_name, change, types) => {
  expect(parseMail(compose(change).content).parts.map((part) => part.type)).toEqual(types);
});

test('whatever name, subject and bodies: one well-formed message that says exactly that', () => {
  fc.assert(
    fc.property(
      anyText,
      anyText,
      anyBody,
      anyBody,
      fc.constantFrom('8bit' as const, '7bit' as const),
      (name, subject, text, html, encoding) => {
        const { content, eightBit } = compose({
          to: { name, address: 'ada@recipient.example' },
          subject,
          text,
          html,
          encoding,
        });
        const mail = parseMail(content);
        expect(decodeWords(field(mail, 'Subject'))).toBe(headerText(subject));
        expect(parseMailbox(field(mail, 'To'))).toEqual({ name: headerText(name), address: 'ada@recipient.example' });
        const wanted = [text, html].map((body) => Buffer.from(crlf(body), 'utf8').toString('utf8'));
        expect(mail.parts.map((part) => part.text)).toEqual(wanted);
        expect(mail.fields.get('content-transfer-encoding')).toEqual(eightBit ? ['8bit'] : undefined);
        expect([...mail.fields.keys()].filter((name) => name !== 'content-transfer-encoding')).toEqual([
          'from',
          'to',
          'subject',
          'date',
          'message-id',
          'list-unsubscribe',
          'list-unsubscribe-post',
          'list-id',
          'feedback-id',
          'mime-version',
          'content-type',
        ]);
        const high = content.some((octet) => octet > 127);
        expect(eightBit).toBe(high);
        if (encoding === '7bit') {
          expect(high).toBe(false);
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test('header lines stay short where words allow it', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('news', 'für', 'alle', '日本語', '"x"', '👋'), { maxLength: 60 }), (words) => {
      const text = words.join(' ');
      const { content } = compose({ subject: text, to: { name: text, address: 'a@recipient.example' } });
      for (const line of content.toString('latin1').split('\r\n\r\n')[0]?.split('\r\n') ?? []) {
        expect(line.length).toBeLessThanOrEqual(line.startsWith('List-') || line.includes('boundary') ? 200 : 78);
      }
    }),
  );
});

test('a reader finds the same as in the message nodemailer makes', async () => {
  const cases: [string, string, string, string][] = [
    ['Ada', 'Hello', 'text', '<p>html</p>'],
    ['Jörg Müller', 'Grüße aus Köln', 'Grüße\nan alle', '<p>Grüße</p>'],
    ['山田 太郎', 'お知らせ: 今週のニュースをお届けします。ぜひご覧ください。', '本文'.repeat(300), '<p>本文</p>'],
    ['O\'Neil, "Jim"', `A subject with ${'many words '.repeat(20)}`, 'a line\n.\n.dot\n', '<p>x = y</p>\n'],
    ['👩‍👩‍👧 Familie', 'שלום 👋🏽', 'عربى\n'.repeat(20), `<p>${'x'.repeat(2000)}</p>`],
    ['', 'tabs\tand  spaces', ' leading and trailing \n', '<pre>\t</pre>'],
  ];
  for (const [name, subject, text, html] of cases) {
    const theirs = await new MailComposer({
      from: FIXED.from,
      to: { name, address: 'ada@recipient.example' },
      subject,
      text,
      html,
      messageId: `<${PERSONAL.messageId}>`,
      date: PERSONAL.date,
      newline: 'windows',
    })
      .compile()
      .build();
    for (const encoding of ['8bit', '7bit'] as const) {
      const ours = compose({ to: { name, address: 'ada@recipient.example' }, subject, text, html, encoding }).content;
      expect(readable(ours)).toEqual(readable(theirs));
    }
  }
});

/** What a mail program shows; the reference trims and tidies white space at line ends of headers. */
function readable(content: Buffer) {
  const mail = parseMail(content);
  return {
    from: parseMailbox(field(mail, 'From')),
    to: parseMailbox(field(mail, 'To')),
    subject: decodeWords(field(mail, 'Subject')).replace(/\s+/g, ' ').trim(),
    date: field(mail, 'Date'),
    messageId: field(mail, 'Message-ID'),
    parts: mail.parts.map((part) => ({ type: part.type, text: crlf(part.text).trimEnd() })),
  };
}

describe('transfer encodings', () => {
  const encodings = (change: Partial<PersonalPart>): string[] =>
    parseMail(compose(change).content).parts.map((part) => part.encoding);

  test.each([
    ['ASCII', 'plain', '8bit', '7bit'],
    ['umlauts where 8BITMIME is offered', 'für', '8bit', '8bit'],
    ['umlauts elsewhere', 'für alle Leute', '7bit', 'quoted-printable'],
    ['Japanese elsewhere', '今週のニュース'.repeat(20), '7bit', 'base64'],
    ['a long line', 'x'.repeat(999), '8bit', 'quoted-printable'],
    ['a line of 998', 'x'.repeat(998), '8bit', '7bit'],
    ['a line of 998 octets in fewer characters', 'ä'.repeat(499), '8bit', '8bit'],
    ['a line of 1000 octets in fewer characters', 'ä'.repeat(500), '8bit', 'base64'],
    ['NUL', 'a text that is long enough\0b', '8bit', 'quoted-printable'],
  ] as const)('%s', (_name, text, encoding, expected) => {
    expect(encodings({ text, encoding })[0]).toBe(expected);
  });

  test('a body that holds the boundary is encoded, so it can add no part', () => {
    const composeOne = createComposer(FIXED);
    const boundary = /boundary="([^"]+)"/.exec(composeOne(PERSONAL).content.toString())?.[1] ?? '';
    const text = `a\n--${boundary}\nContent-Type: text/html\n\n<script>\n--${boundary}--\n`;
    const mail = parseMail(composeOne({ ...PERSONAL, text }).content);
    expect(mail.parts.map((part) => [part.type, part.encoding])).toEqual([
      ['text/plain', 'quoted-printable'],
      ['text/html', '7bit'],
    ]);
    expect(mail.parts[0]?.text).toBe(crlf(text));
  });
});

describe('addresses', () => {
  test('a Unicode domain becomes punycode, a Unicode local part needs SMTPUTF8', () => {
    const idn = compose({ to: { name: '', address: 'ada@bücher.example' } });
    expect(field(parseMail(idn.content), 'To')).toBe('ada@xn--bcher-kva.example');
    expect(idn.smtpUtf8).toBe(false);
    const unicode = compose({ to: { name: 'Jörg', address: 'jörg@bücher.example' }, encoding: '7bit' });
    expect(parseMailbox(field(parseMail(unicode.content), 'To'))).toEqual({
      name: 'Jörg',
      address: 'jörg@xn--bcher-kva.example',
    });
    expect(unicode.smtpUtf8).toBe(true);
    expect(parseMail(unicode.content).parts).toHaveLength(2);
  });

  test.each<[string, Partial<PersonalPart>, Partial<FixedHeader>, string]>([
    ['two addresses', { to: { name: '', address: 'a@x.example, b@y.example' } }, {}, 'to'],
    ['a line end in an address', { to: { name: '', address: 'a@x.example\r\nBcc: b@y.example' } }, {}, 'to'],
    ['no address', { to: { name: 'Ada', address: '' } }, {}, 'to'],
    ['a sender without domain', {}, { from: { name: '', address: 'news' } }, 'from'],
    ['a line end in the Message-ID', { messageId: 'a@b\r\nX: y' }, {}, 'messageId'],
    ['a Message-ID without domain', { messageId: 'abc' }, {}, 'messageId'],
    ['an unsubscribe URL with a line end', { unsubscribeUrl: 'https://x.example/\r\nX: y' }, {}, 'unsubscribeUrl'],
    [
      'an unsubscribe URL that closes its bracket',
      { unsubscribeUrl: 'https://x.example/>, <mailto:a' },
      {},
      'unsubscribeUrl',
    ],
    ['a relative unsubscribe URL', { unsubscribeUrl: '/u/1' }, {}, 'unsubscribeUrl'],
    ['no body', { text: null, html: null }, {}, 'text'],
    ['a List-Id that ends its line', {}, { listId: 'a>\r\nX: y' }, 'listId'],
    ['an extra field with a line end', {}, { extra: { 'X-A': 'a\r\nBcc: b@y.example' } }, 'extra.X-A'],
    ['an extra field with a bad name', {}, { extra: { 'X A:': 'a' } }, 'extra.X A:'],
    ['an extra field that is ours', {}, { extra: { bcc: 'b@y.example' } }, 'extra.bcc'],
  ])('refused: %s', (_name, personal, fixed, at) => {
    expect(() => compose(personal, fixed)).toThrow(MimeError);
    expect(() => compose(personal, fixed)).toThrow(expect.objectContaining({ field: at }));
  });

  test('no value of a contact shows up in an error', () => {
    const to: Mailbox = { name: 'Secret Name', address: 'secret address' };
    expect(() => compose({ to })).toThrow(expect.not.objectContaining({ message: expect.stringContaining('ecret') }));
  });
});
