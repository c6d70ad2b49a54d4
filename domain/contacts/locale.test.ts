import { parseLocale, parseTimeZone } from './locale';
import { MAIL_DOMAINS, mailboxProviderGroup } from './mailbox-providers';
import { nameProblem, tagsProblem, tidyName } from './names-and-tags';

describe('parseLocale', () => {
  it.each([
    ['en', 'en'],
    ['pt_BR', 'pt-BR'],
    ['PT-br', 'pt-BR'],
    ['zh-hant-tw', 'zh-Hant-TW'],
    [' de-DE ', 'de-DE'],
  ])('%j is %s', (input, locale) => expect(parseLocale(input)).toBe(locale));

  it.each(['', 'e', 'english', 'en--US', 'en-', 'en-US-', `en-${'abcdefgh-'.repeat(10)}x`, 'de\nDE', '12'])(
    'refuses %j',
    (input) => expect(parseLocale(input)).toBeNull(),
  );
});

describe('parseTimeZone', () => {
  it('knows IANA names only', () => {
    expect(parseTimeZone(' Australia/Lord_Howe ')).toBe('Australia/Lord_Howe');
    expect(parseTimeZone('Mars/Olympus')).toBeNull();
    expect(parseTimeZone('')).toBeNull();
  });
});

describe('mailboxProviderGroup', () => {
  it('groups domains, and everything else as other', () => {
    expect(
      ['gmail.com', 'googlemail.com', 'hotmail.de', 'aol.com', 'me.com', 'web.de'].map(mailboxProviderGroup),
    ).toEqual(['gmail', 'gmail', 'outlook', 'yahoo', 'icloud', 'gmx']);
    expect(mailboxProviderGroup('example.org')).toBe('other');
    expect(mailboxProviderGroup('constructor')).toBe('other');
  });

  it('lists each domain once, in lower case', () => {
    const domains = MAIL_DOMAINS.map(({ domain }) => domain);
    expect(new Set(domains).size).toBe(domains.length);
    expect(domains.every((domain) => domain === domain.toLowerCase())).toBe(true);
  });
});

describe('names and tags', () => {
  it('refuses what would break a header', () => {
    expect(nameProblem('Mary Jane')).toBeNull();
    expect(nameProblem('Ada\r\nBcc: eve@example.org')).toMatch(/line breaks/);
    expect(nameProblem('a'.repeat(201))).toMatch(/at most 200/);
  });

  it('tidies names of exports', () => {
    expect(tidyName(' Lovelace\nBranch   office ')).toBe('Lovelace Branch office');
    expect(tidyName("D'Angelo")).toBe("D'Angelo");
    expect(tidyName('\u0000')).toBe('');
  });

  it('bounds tags', () => {
    expect(tagsProblem(['vip', 'berlin 2026'])).toBeNull();
    expect(tagsProblem([''])).not.toBeNull();
    expect(tagsProblem([' vip'])).not.toBeNull();
    expect(tagsProblem(['a\nb'])).not.toBeNull();
    expect(tagsProblem(Array.from({ length: 101 }, (_, index) => `t${index}`))).not.toBeNull();
  });
});
