import { findUnsubscribable, type UnsubscribableDelivery, type UnsubscribeChoice, unsubscribe } from '../../db/consent';
import { findMessageLinks } from '../../db/tracking';
import { type MessageReference, openMessageToken } from '../../domain/tracking';
import { defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { z } from '../http/schemas';
import { escapeHtml, page, unknownLink } from './page';
import { readSmallForm } from './unsubscribe-body';
import { visitorOf } from './visitor';

const params = z.object({ token: z.string() });
const HTML = { contentType: 'text/html' };

/** The workspace of a genuine token's message, or null. */
async function openLink(
  context: PublicContext,
  token: string,
): Promise<{ workspaceId: string; reference: MessageReference } | null> {
  const reference = openMessageToken(context.deps.keyring, 'message-unsubscribe', token);
  if (!reference) return null;
  const message = await findMessageLinks(context.deps.db, reference.messageId);
  return message && { workspaceId: message.workspaceId, reference };
}

/** What is to be left. One-click means everything that the sender mails in bulk (RFC 8058, section 2). */
function choiceOf(form: Map<string, string>): UnsubscribeChoice | null {
  if (form.get('List-Unsubscribe')?.trim().toLowerCase() === 'one-click') return 'everything';
  const choice = form.get('choice');
  return choice === 'everything' || choice === 'category' ? choice : null;
}

function askPage(delivery: UnsubscribableDelivery, token: string): RouteAnswer {
  const sender = delivery.workspace_name;
  if (delivery.contact_status === 'UNSUBSCRIBED') return donePage(delivery, 'everything');
  const category = delivery.category_name;
  const choices =
    category === null || delivery.category_left
      ? '<input type="hidden" name="choice" value="everything">'
      : `<fieldset><legend>What would you like to stop?</legend>
<label><input type="radio" name="choice" value="category" checked><span>Only “${escapeHtml(category)}”</span></label>
<label><input type="radio" name="choice" value="everything"><span>All mailings of ${escapeHtml(sender)}</span></label></fieldset>`;
  return page(200, {
    title: 'Unsubscribe',
    sender,
    content: `<p>You will get no more of what you choose here. Messages that you need, such as receipts, still reach you.</p>
<form method="post" action="/u/${escapeHtml(token)}">
${choices}
<button type="submit">Unsubscribe</button>
</form>
<p class="note">Nothing has changed yet: it takes the button.</p>`,
  });
}

function donePage(delivery: UnsubscribableDelivery, choice: UnsubscribeChoice): RouteAnswer {
  const what =
    choice === 'category' && delivery.category_name !== null
      ? `“${escapeHtml(delivery.category_name)}”`
      : `any mailings of ${escapeHtml(delivery.workspace_name)}`;
  return page(200, {
    title: 'You are unsubscribed',
    sender: delivery.workspace_name,
    content: `<p>You will not get ${what} any more. If you change your mind, sign up again.</p>`,
  });
}

export const unsubscribePages = [
  defineRoute({
    operationId: 'showUnsubscribe',
    method: 'get',
    path: '/u/{token}',
    tag: 'Public',
    summary: 'The page behind an unsubscribe link: shows a button and changes nothing',
    access: 'public',
    hidden: true,
    params,
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token } }) {
      const link = await openLink(context, token);
      if (!link) return unknownLink();
      const { workspaceId, reference } = link;
      const delivery = await context.deps.db.workspaceTransaction(workspaceId, (tx) =>
        findUnsubscribable(tx, workspaceId, reference),
      );
      return delivery ? askPage(delivery, token) : unknownLink();
    },
  }),
  defineRoute({
    operationId: 'unsubscribe',
    method: 'post',
    path: '/u/{token}',
    tag: 'Public',
    summary: 'Unsubscribes: one-click by a mail program (RFC 8058) or by the page',
    access: 'public',
    hidden: true,
    params,
    accepts: { types: ['application/x-www-form-urlencoded', 'multipart/form-data'], mode: 'stream' },
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token } }) {
      const form = await readSmallForm(context.raw.request);
      const link = await openLink(context, token);
      if (!link) return unknownLink();
      const choice = form && choiceOf(form);
      if (!choice) {
        return page(400, {
          title: 'Nothing was changed',
          content:
            '<p>The request did not say what to unsubscribe from. Please open the link again and use the button.</p>',
        });
      }
      const { workspaceId, reference } = link;
      const delivery = await context.deps.db.workspaceTransaction(workspaceId, async (tx) => {
        const found = await findUnsubscribable(tx, workspaceId, reference);
        if (!found) return null;
        const visitor = visitorOf(context.raw.request);
        await unsubscribe(tx, { workspaceId, delivery: found, choice, visitor, httpRequestId: context.requestId });
        return found;
      });
      return delivery ? donePage(delivery, choice) : unknownLink();
    },
  }),
];
