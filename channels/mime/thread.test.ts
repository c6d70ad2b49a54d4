import { threadFields } from './header';

test('the first mail of a thread has no fields of it', () => {
  expect(threadFields([])).toBe('');
});

test('a later one replies to the newest and names them all, oldest first, each on a line of its own', () => {
  expect(threadFields(['one@mail.example', 'two@mail.example'])).toBe(
    'In-Reply-To: <two@mail.example>\r\nReferences: <one@mail.example>\r\n <two@mail.example>\r\n',
  );
});

test('a long thread keeps its first mail and the newest ones', () => {
  const thread = Array.from({ length: 40 }, (_, n) => `m${n}@mail.example`);
  const ids = threadFields(thread)
    .match(/References:[\s\S]*/)?.[0]
    .match(/m\d+/g);
  expect(ids).toEqual(['m0', ...Array.from({ length: 19 }, (_, n) => `m${n + 21}`)]);
});

test('nothing that is no Message-ID gets into the header', () => {
  for (const bad of ['a@b>\r\nBcc: <x@y.example', 'no-at', '', `${'a'.repeat(300)}@b.example`]) {
    expect(() => threadFields([bad])).toThrow('Message-IDs');
  }
});
