import {
  findPageTheme,
  findUnsubscribable,
  type UnsubscribableDelivery,
  type UnsubscribeChoice,
  unsubscribe,
} from '../../db/consent';
import { escapeHtml, type PageSetting, page, pageSetting, unknownLink } from '../http/page';
import { defineRoute, type RouteAnswer } from '../http/route';
import { z } from '../http/schemas';
import { openUnsubscribeToken } from './links';
import { readSmallForm } from './unsubscribe-body';
import { visitorOf } from './visitor';

const params = z.object({ token: z.string() });
const HTML = { contentType: 'text/html' };

/** What is to be left. One-click means everything that the sender mails in bulk (RFC 8058, section 2). */
function choiceOf(form: Map<string, string>): UnsubscribeChoice | null {
  if (form.get('List-Unsubscribe')?.trim().toLowerCase() === 'one-click') return 'everything';
  const choice = form.get('choice');
  return choice === 'everything' || choice === 'category' ? choice : null;
}

/** In the page's language where the workspace gave it a name there. */
function categoryName({ language }: PageSetting, delivery: UnsubscribableDelivery): string | null {
  return delivery.category_translations?.[language]?.name ?? delivery.category_name;
}

function askPage(setting: PageSetting, delivery: UnsubscribableDelivery, token: string): RouteAnswer {
  const sender = delivery.workspace_name;
  if (delivery.contact_status === 'UNSUBSCRIBED') return donePage(setting, delivery, 'everything');
  const { unsubscribe: texts } = setting.texts;
  const category = categoryName(setting, delivery);
  const choices =
    category === null || delivery.category_left
      ? '<input type="hidden" name="choice" value="everything">'
      : `<fieldset><legend>${escapeHtml(texts.question)}</legend>
<label><input type="radio" name="choice" value="category" checked><span>${escapeHtml(texts.onlyCategory(category))}</span></label>
<label><input type="radio" name="choice" value="everything"><span>${escapeHtml(texts.everything(sender))}</span></label></fieldset>`;
  return page(setting, 200, {
    title: texts.title,
    sender,
    content: `<p>${escapeHtml(texts.lead)}</p>
<form method="post" action="/u/${escapeHtml(token)}">
${choices}
<button type="submit">${escapeHtml(texts.button)}</button>
</form>
<p class="note">${escapeHtml(texts.note)}</p>
<p class="note"><a href="/preferences/${escapeHtml(token)}">${escapeHtml(texts.more)}</a></p>`,
  });
}

function donePage(setting: PageSetting, delivery: UnsubscribableDelivery, choice: UnsubscribeChoice): RouteAnswer {
  const { unsubscribe: texts } = setting.texts;
  const category = categoryName(setting, delivery);
  const done =
    choice === 'category' && category !== null
      ? texts.doneCategory(category)
      : texts.doneEverything(delivery.workspace_name);
  return page(setting, 200, {
    title: texts.doneTitle,
    sender: delivery.workspace_name,
    content: `<p>${escapeHtml(done)} ${escapeHtml(texts.changeMind)}</p>`,
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
      const { request } = context.raw;
      const link = await openUnsubscribeToken(context, token);
      if (!link) return unknownLink(pageSetting(request));
      const { workspaceId, reference } = link;
      return context.deps.db.workspaceTransaction(workspaceId, async (tx) => {
        const delivery = await findUnsubscribable(tx, workspaceId, reference);
        if (!delivery) return unknownLink(pageSetting(request));
        const theme = await findPageTheme(tx, workspaceId);
        return askPage(pageSetting(request, { locale: delivery.workspace_locale, theme }), delivery, token);
      });
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
      const { request } = context.raw;
      const form = await readSmallForm(request);
      const link = await openUnsubscribeToken(context, token);
      if (!link) return unknownLink(pageSetting(request));
      const choice = form && choiceOf(form);
      if (!choice) {
        const setting = pageSetting(request);
        const { unclear, unclearTitle } = setting.texts.unsubscribe;
        return page(setting, 400, { title: unclearTitle, content: `<p>${escapeHtml(unclear)}</p>` });
      }
      const { workspaceId, reference } = link;
      return context.deps.db.workspaceTransaction(workspaceId, async (tx) => {
        const delivery = await findUnsubscribable(tx, workspaceId, reference);
        if (!delivery) return unknownLink(pageSetting(request));
        const visitor = visitorOf(request);
        await unsubscribe(tx, { workspaceId, delivery, choice, visitor, httpRequestId: context.requestId });
        const theme = await findPageTheme(tx, workspaceId);
        return donePage(pageSetting(request, { locale: delivery.workspace_locale, theme }), delivery, choice);
      });
    },
  }),
];
