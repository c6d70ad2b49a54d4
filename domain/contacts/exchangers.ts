import type { MailboxProviderGroup } from './mailbox-providers';

/** Mail exchangers of mailbox providers, by the end of their names. */
const EXCHANGERS: readonly (readonly [string, MailboxProviderGroup])[] = [
  ['google.com', 'gmail'],
  ['googlemail.com', 'gmail'],
  ['outlook.com', 'outlook'],
  ['office365.us', 'outlook'],
  ['yahoodns.net', 'yahoo'],
  ['icloud.com', 'icloud'],
  ['gmx.net', 'gmx'],
  ['web.de', 'gmx'],
  ['t-online.de', 'telekom'],
  ['orange.fr', 'orange'],
  ['laposte.net', 'laposte'],
  ['libero.it', 'libero'],
  ['comcast.net', 'comcast'],
  ['protonmail.ch', 'proton'],
  ['mail.ru', 'mailru'],
  ['yandex.net', 'yandex'],
  ['yandex.ru', 'yandex'],
  ['qq.com', 'qq'],
  ['netease.com', 'netease'],
  ['naver.com', 'naver'],
  ['zoho.com', 'zoho'],
  ['zoho.eu', 'zoho'],
  ['zoho.in', 'zoho'],
  ['messagingengine.com', 'fastmail'],
];

/**
 * The mailbox provider behind a domain's mail exchangers: that of the most preferred one (RFC 5321, section 5.1: lowest
 * number first), since it is where mail goes.
 */
export function groupOfExchangers(
  records: readonly { readonly exchange: string; readonly priority: number }[],
): MailboxProviderGroup {
  const [first] = [...records].sort((a, b) => a.priority - b.priority);
  const host = first?.exchange.toLowerCase().replace(/\.$/, '') ?? '';
  return EXCHANGERS.find(([end]) => host === end || host.endsWith(`.${end}`))?.[1] ?? 'other';
}
