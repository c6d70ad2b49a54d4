import { judgeActor } from './actor';

const judge = (userAgent: string | undefined, purpose?: string) => judgeActor({ userAgent, purpose });

describe('judgeActor', () => {
  it.each([
    ['Firefox', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'human'],
    [
      'Safari on a telephone',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
      'human',
    ],
    ['Thunderbird', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0', 'human'],
    ['Outlook', 'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)', 'human'],
    ['a search engine', 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', 'machine'],
    ['a library', 'python-requests/2.32.3', 'machine'],
    ['curl', 'curl/8.14.1', 'machine'],
    [
      'a browser without a window',
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36',
      'machine',
    ],
    ['a link scanner', 'Mozilla/5.0 (Windows NT 10.0) BarracudaCentral/1.0', 'machine'],
    [
      "Gmail's image proxy",
      'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
      'unknown',
    ],
    ["Apple's Mail Privacy Protection", 'Mozilla/5.0', 'unknown'],
    ['nothing', undefined, 'unknown'],
    ['an empty one', ' ', 'unknown'],
  ])('%s', (_name, userAgent, actor) => {
    expect(judge(userAgent)).toBe(actor);
    // From the cache.
    expect(judge(userAgent)).toBe(actor);
  });

  it('a browser that fetches ahead is a machine', () => {
    expect(judge('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'prefetch;prerender')).toBe(
      'machine',
    );
  });

  it('looks at a bounded part of endless user agents', () => {
    expect(judge(`Mozilla/5.0 (X11) ${'x'.repeat(100_000)}`)).toBe('human');
  });
});
