/**
 * Mailbox-provider groups (`mx_group`): recipients that one operator's systems judge together, so that throttling by
 * one does not slow mail to the others. By domain only; hosted domains count as `other` until MX look-ups refine them.
 */
export const MAILBOX_PROVIDER_GROUPS = [
  'gmail',
  'outlook',
  'yahoo',
  'icloud',
  'gmx',
  'telekom',
  'orange',
  'laposte',
  'libero',
  'comcast',
  'proton',
  'mailru',
  'yandex',
  'qq',
  'netease',
  'naver',
  'zoho',
  'fastmail',
  'other',
] as const;

export type MailboxProviderGroup = (typeof MAILBOX_PROVIDER_GROUPS)[number];

const DOMAINS: Record<Exclude<MailboxProviderGroup, 'other'>, readonly string[]> = {
  gmail: ['gmail.com', 'googlemail.com'],
  outlook: [
    ...['outlook.com', 'outlook.de', 'outlook.fr', 'outlook.es', 'outlook.it', 'outlook.jp', 'outlook.in'],
    ...['outlook.com.br', 'outlook.com.au', 'outlook.co.id', 'outlook.dk', 'outlook.at', 'outlook.be', 'outlook.ie'],
    ...['hotmail.com', 'hotmail.co.uk', 'hotmail.de', 'hotmail.fr', 'hotmail.es', 'hotmail.it', 'hotmail.nl'],
    ...['hotmail.com.br', 'hotmail.com.ar', 'hotmail.ca', 'hotmail.be', 'hotmail.se', 'hotmail.no', 'hotmail.dk'],
    ...['live.com', 'live.co.uk', 'live.de', 'live.fr', 'live.nl', 'live.it', 'live.se', 'live.dk', 'live.no'],
    ...['live.ca', 'live.com.au', 'live.com.mx', 'live.be', 'msn.com', 'passport.com', 'windowslive.com'],
  ],
  yahoo: [
    ...['yahoo.com', 'yahoo.co.uk', 'yahoo.de', 'yahoo.fr', 'yahoo.es', 'yahoo.it', 'yahoo.ca', 'yahoo.in'],
    ...['yahoo.co.in', 'yahoo.co.id', 'yahoo.com.br', 'yahoo.com.ar', 'yahoo.com.mx', 'yahoo.com.au', 'yahoo.com.sg'],
    ...['yahoo.com.ph', 'yahoo.com.vn', 'yahoo.com.hk', 'yahoo.com.tw', 'yahoo.ie', 'yahoo.se', 'yahoo.no'],
    ...['yahoo.dk', 'yahoo.pl', 'yahoo.ro', 'yahoo.gr', 'ymail.com', 'rocketmail.com', 'myyahoo.com', 'aol.com'],
    ...['aol.co.uk', 'aol.de', 'aol.fr', 'aim.com', 'netscape.net', 'verizon.net', 'att.net', 'sbcglobal.net'],
    ...['bellsouth.net', 'pacbell.net', 'rogers.com', 'sky.com'],
  ],
  icloud: ['icloud.com', 'me.com', 'mac.com', 'privaterelay.appleid.com'],
  gmx: [
    ...['gmx.de', 'gmx.net', 'gmx.com', 'gmx.at', 'gmx.ch', 'gmx.fr', 'gmx.es', 'gmx.co.uk', 'gmx.us'],
    ...['web.de', 'mail.com', 'email.com', '1und1.de'],
  ],
  telekom: ['t-online.de', 'magenta.de'],
  orange: ['orange.fr', 'wanadoo.fr'],
  laposte: ['laposte.net'],
  libero: ['libero.it', 'virgilio.it', 'inwind.it', 'iol.it', 'blu.it'],
  comcast: ['comcast.net', 'xfinity.com'],
  proton: ['proton.me', 'protonmail.com', 'protonmail.ch', 'pm.me'],
  mailru: ['mail.ru', 'bk.ru', 'inbox.ru', 'list.ru', 'internet.ru'],
  yandex: ['yandex.ru', 'yandex.com', 'yandex.by', 'yandex.kz', 'ya.ru'],
  qq: ['qq.com', 'foxmail.com', 'vip.qq.com'],
  netease: ['163.com', '126.com', 'yeah.net', '188.com'],
  naver: ['naver.com'],
  zoho: ['zoho.com', 'zohomail.com', 'zohomail.eu'],
  fastmail: ['fastmail.com', 'fastmail.fm', 'messagingengine.com'],
};

/** The rows that the `mail_domains` table starts with. */
export const MAIL_DOMAINS: readonly { readonly domain: string; readonly group: MailboxProviderGroup }[] =
  MAILBOX_PROVIDER_GROUPS.flatMap((group) =>
    group === 'other' ? [] : DOMAINS[group].map((domain) => ({ domain, group })),
  );

const groups = new Map(MAIL_DOMAINS.map(({ domain, group }) => [domain, group]));

/** @param domain lower-case ASCII, as `normaliseEmail` gives it */
export function mailboxProviderGroup(domain: string): MailboxProviderGroup {
  return groups.get(domain) ?? 'other';
}
