import { classify, RULES, type Stage } from './classify';

/** One line a case: the answer, the command it answers, and what it means. */
const CASES: [string, Stage, string][] = [
  ['421 4.3.2 Closing', 'rcpt', 'throttled'],
  ['421 Too many messages', 'final', 'throttled'],
  ['450 4.7.1 Slow down', 'rcpt', 'throttled'],
  ['451 4.7.650 Rate limit', 'mail', 'throttled'],
  ['451 4.7.0 Temporary rate limit', 'final', 'throttled'],
  ['452 4.3.1 Insufficient system storage', 'final', 'throttled'],
  ['452 4.5.3 Too many recipients', 'rcpt', 'throttled'],
  ['452 Later', 'rcpt', 'throttled'],
  ['451 Local error', 'mail', 'throttled'],
  ['452 4.2.2 Over quota', 'rcpt', 'transient'],
  ['450 Mailbox busy', 'rcpt', 'transient'],
  ['450 4.2.0 Greylisted', 'rcpt', 'transient'],
  ['451 4.7.1 Greylisting in action, try again in 5 minutes', 'rcpt', 'transient'],
  ['451 4.3.0 Queue file write error', 'final', 'transient'],
  ['552 5.2.2 Mailbox full', 'rcpt', 'transient'],
  ['552 Mailbox full', 'rcpt', 'transient'],

  ['550 5.1.1 No such user', 'rcpt', 'address+suppress'],
  ['550 5.1.1 The account is blocked for spam', 'rcpt', 'address+suppress'],
  ['550 5.1.2 Bad domain', 'rcpt', 'address+suppress'],
  ['553 5.1.3 Bad syntax', 'rcpt', 'address+suppress'],
  ['551 5.1.6 Moved', 'rcpt', 'address+suppress'],
  ['556 5.1.10 Null MX', 'rcpt', 'address+suppress'],
  ['550 5.2.1 Mailbox disabled', 'final', 'address+suppress'],
  ['550 User unknown', 'rcpt', 'address+suppress'],
  ['550 sorry, no mailbox here by that name', 'rcpt', 'address+suppress'],
  ['550 The email account that you tried to reach does not exist', 'final', 'address+suppress'],
  ["554 delivery error: This user doesn't have a example.com account", 'final', 'address+suppress'],
  ['550 5.5.0 Requested action not taken: mailbox unavailable', 'rcpt', 'address+suppress'],
  ['550 Unknown user', 'data', 'address+suppress'],

  ['550 Not today', 'rcpt', 'address'],
  ['550 5.4.1 Recipient address rejected: Access denied', 'rcpt', 'address'],
  ['550 5.1.4 Ambiguous', 'rcpt', 'address'],
  ['550 5.2.0 Mailbox problem', 'final', 'address'],
  ['553 5.6.7 Non-ASCII address not permitted', 'rcpt', 'address+otherRoute'],
  ['550 5.6.7 No SMTPUTF8', 'mail', 'address+otherRoute'],

  ['550 5.7.1 User unknown, says policy', 'rcpt', 'sender'],
  ['550 5.7.26 Unauthenticated mail', 'final', 'sender'],
  ['554 Blocked, see spamhaus', 'rcpt', 'sender'],
  ['550 relay access denied', 'rcpt', 'sender'],
  ['553 5.1.8 Sender domain not found', 'rcpt', 'sender'],
  ['550 User unknown', 'mail', 'sender'],
  ['501 5.1.7 Bad sender', 'mail', 'sender'],

  ['552 5.3.4 Too big', 'mail', 'message'],
  ['552 Message size exceeds maximum', 'final', 'message'],
  ['550 5.3.4 Too big for this system', 'rcpt', 'message'],
  ['554 5.6.0 Malformed', 'final', 'message'],
  ['554 Transaction failed', 'final', 'message'],
  ['554 5.5.0 Odd', 'data', 'message'],

  ['530 5.7.0 Must issue STARTTLS', 'mail', 'unavailable'],
  ['530 Authentication required', 'mail', 'unavailable'],
  ['535 5.7.8 Bad credentials', 'mail', 'unavailable'],
  ['535 Log in again', 'rcpt', 'unavailable'],
];

function meaning(line: string, stage: Stage): string {
  const outcome = classify({ code: Number(line.slice(0, 3)), text: line.slice(4) }, stage);
  if (outcome.kind !== 'permanent') {
    return outcome.kind;
  }
  return `${outcome.scope}${outcome.suppress ? '+suppress' : ''}${outcome.otherRoute ? '+otherRoute' : ''}`;
}

test.each(CASES)('%s (%s) is %s', (line, stage, expected) => {
  expect(meaning(line, stage)).toBe(expected);
});

test('only the listed codes or a known text ever suppress', () => {
  const listed = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1']);
  for (const stage of ['mail', 'rcpt', 'data', 'final'] as const) {
    for (let subject = 0; subject <= 7; subject++) {
      for (let detail = 0; detail <= 30; detail++) {
        const enhanced = `5.${subject}.${detail}`;
        const suppresses = meaning(`550 ${enhanced} No`, stage).includes('suppress');
        expect([enhanced, stage, suppresses]).toEqual([enhanced, stage, stage !== 'mail' && listed.has(enhanced)]);
      }
    }
  }
});

test('every answer of 400 to 599 gets a class that fits its first digit', () => {
  for (const stage of ['mail', 'rcpt', 'data', 'final'] as const) {
    for (let code = 400; code < 600; code++) {
      const { kind } = classify({ code, text: 'whatever' }, stage);
      expect(
        code < 500 ? ['throttled', 'transient', 'unavailable'] : ['permanent', 'transient', 'unavailable'],
      ).toContain(kind);
    }
  }
});

test('each rule is reached by a case', () => {
  const reached = new Set(
    CASES.map(([line, stage]) => {
      const text = line.slice(4);
      const enhanced = /^\d\.\d+\.\d+(?=\s|$)/.exec(text)?.[0] ?? '';
      return RULES.findIndex(
        (rule) =>
          (rule.stages?.includes(stage) ?? true) &&
          (rule.codes?.includes(Number(line.slice(0, 3))) ?? true) &&
          (rule.enhanced?.test(enhanced) ?? true) &&
          (rule.text?.test(text) ?? true),
      );
    }),
  );
  expect(RULES.map((rule, index) => (reached.has(index) ? '' : rule.name)).filter((name) => name !== '')).toEqual([]);
});
