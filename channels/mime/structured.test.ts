import { createComposer, type FixedHeader, type PersonalPart } from './composer';
import { structure } from './structured';

const fixed: FixedHeader = {
  from: { name: 'Ada', address: 'ada@sally.example' },
  replyTo: { name: '', address: 'answers@sally.example' },
  listId: 'acme.sally.example',
  feedbackId: 'c:w:bulk:sally',
  autoSubmitted: true,
  extra: { 'X-Campaign': 'Frühling', 'X-Long': 'word '.repeat(40).trim() },
};
const personal: PersonalPart = {
  to: { name: 'Jörg\r\nBcc: x@y.example', address: 'joerg@contacts.example' },
  subject: 'Hello\nBcc: somebody@else.example',
  text: 'text',
  html: '<p>html</p>',
  messageId: 'a.b@sally.example',
  date: new Date(0),
  thread: ['first@sally.example', 'second@sally.example'],
  unsubscribeUrl: 'https://sally.example/u/token',
  encoding: '7bit',
};

test('has the fields that the composer writes, with the same values on one line', () => {
  const parts = structure(fixed, personal);
  const header = createComposer(fixed)(personal).content.toString('latin1').split('\r\n\r\n')[0] ?? '';
  const written = new Map(
    header
      .replace(/\r\n(?=[ \t])/g, '')
      .split('\r\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const),
  );
  const own = ['From', 'Reply-To', 'To', 'Subject', 'Date', 'Message-ID', 'MIME-Version', 'Content-Type'];
  expect(parts.headers.map(([name]) => name).sort()).toEqual(
    [...written.keys()].filter((name) => !own.includes(name)).sort(),
  );
  for (const [name, value] of parts.headers) expect(value).toBe(written.get(name));
});

test('nothing in it can begin another line', () => {
  const parts = structure(fixed, personal);
  for (const text of [parts.subject, parts.to.name, ...parts.headers.flat()]) expect(text).not.toMatch(/[\r\n]/);
  expect(parts).toMatchObject({ text: 'text', html: '<p>html</p>', messageId: 'a.b@sally.example', attachments: [] });
});
