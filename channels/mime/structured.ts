import type { StructuredMessage } from '../connector';
import type { FixedHeader, PersonalPart } from './composer';
import { checkUrl, type Mailbox, oneLine, textField } from './header';

/**
 * The parts of what the composer composes, for provider APIs that take no MIME: the same fields with the same values.
 * Date, MIME-Version and the encoding of the bodies are the provider's. Call it with what was composed before, which
 * has checked it.
 */
export function structure(fixed: FixedHeader, personal: PersonalPart): StructuredMessage {
  const headers: [string, string][] = [];
  if (personal.unsubscribeUrl !== null) {
    headers.push(['List-Unsubscribe', `<${checkUrl(personal.unsubscribeUrl, 'unsubscribeUrl')}>`]);
    headers.push(['List-Unsubscribe-Post', 'List-Unsubscribe=One-Click']);
  }
  const last = personal.thread?.at(-1);
  if (personal.thread && last !== undefined) {
    headers.push(['In-Reply-To', `<${last}>`]);
    headers.push(['References', personal.thread.map((id) => `<${id}>`).join(' ')]);
  }
  if (fixed.listId !== null) headers.push(['List-Id', `<${fixed.listId}>`]);
  if (fixed.feedbackId !== null) headers.push(['Feedback-ID', fieldValue('Feedback-ID', fixed.feedbackId)]);
  if (fixed.autoSubmitted) headers.push(['Auto-Submitted', 'auto-generated']);
  for (const [name, value] of Object.entries(fixed.extra)) headers.push([name, fieldValue(name, value)]);
  return {
    from: cleaned(fixed.from),
    replyTo: fixed.replyTo === null ? null : cleaned(fixed.replyTo),
    to: cleaned(personal.to),
    subject: oneLine(personal.subject),
    text: personal.text,
    html: personal.html,
    messageId: personal.messageId,
    headers,
    attachments: [],
  };
}

/** As it stands in a header, on one line: ASCII, with encoded words (RFC 2047) where it needs them. */
function fieldValue(name: string, value: string): string {
  return textField(name, value)
    .slice(name.length + 2)
    .replaceAll('\r\n', '');
}

function cleaned({ name, address }: Mailbox): Mailbox {
  return { name: oneLine(name), address };
}
