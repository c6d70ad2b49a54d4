import {
  confirmOptIn,
  findLogoPicture,
  findOptInRequest,
  findPageTheme,
  type OptInRequestRow,
  renewOptIn,
} from '../../db/consent';
import {
  OPT_IN_CHANGED_SIGNAL,
  type OptInToken,
  openOptInToken,
  optInWorkflow,
  optInWorkflowId,
  type PageTheme,
  themeStyle,
} from '../../domain/consent';
import { ensureWorkflow, hintWorkflow } from '../../platform/temporal';
import { escapeHtml, PAGE_STYLE, page, pageSetting, STYLE_PATH, unknownLink } from '../http/page';
import { notFound, Problem } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { z } from '../http/schemas';
import { findPublicWorkspace } from './sign-up';
import { inBackground, tooMany, visitorOf } from './visitor';

const params = z.object({ token: z.string() });
const HTML = { contentType: 'text/html' };

function openToken(context: PublicContext, token: string): OptInToken | null {
  return openOptInToken(context.deps.keyring, token, new Date());
}

interface Found {
  request: OptInRequestRow;
  theme: PageTheme | null;
}

/** The page of a request's state; `token` goes back into the forms. */
function statePage(context: PublicContext, { request, theme }: Found, token: string, expired: boolean): RouteAnswer {
  const sender = request.workspace_name;
  const setting = pageSetting(context.raw.request, { locale: request.workspace_locale, theme });
  const { confirm } = setting.texts;
  const state = request.status === 'OPEN' && expired ? 'EXPIRED' : request.status;
  switch (state) {
    case 'OPEN':
      return page(setting, 200, {
        title: confirm.title,
        sender,
        content: `<p>${escapeHtml(confirm.agree(request.purpose_name))}</p>
<blockquote>${escapeHtml(request.wording)}</blockquote>
<form method="post" action="/confirm/${escapeHtml(token)}"><button type="submit">${escapeHtml(confirm.button)}</button></form>
<p class="note">${escapeHtml(confirm.note)}</p>`,
      });
    case 'CONFIRMED':
      return page(setting, 200, {
        title: confirm.doneTitle,
        sender,
        content: `<p>${escapeHtml(confirm.done(request.purpose_name))}</p>`,
      });
    case 'EXPIRED':
    case 'CANCELLED':
      return page(setting, 410, {
        title: confirm.expiredTitle,
        sender,
        content: `<p>${escapeHtml(confirm.expired)}</p>
<form method="post" action="/confirm/${escapeHtml(token)}/renew"><button type="submit">${escapeHtml(confirm.renew)}</button></form>`,
      });
  }
}

export const confirmPages = [
  defineRoute({
    operationId: 'publicStyle',
    method: 'get',
    path: STYLE_PATH,
    tag: 'Public',
    summary: 'Style sheet of the public pages',
    access: 'public',
    hidden: true,
    responses: { 200: { description: 'CSS', contentType: 'text/css' } },
    async handle() {
      const headers = {
        'Content-Type': 'text/css; charset=utf-8',
        'Cache-Control': 'public, max-age=31536000, immutable',
      };
      return { status: 200, headers, text: PAGE_STYLE };
    },
  }),
  defineRoute({
    operationId: 'publicTheme',
    method: 'get',
    path: '/pages/theme/{theme}',
    tag: 'Public',
    summary: "Style sheet of a workspace's colours; its name says all, so it can be kept for ever",
    access: 'public',
    hidden: true,
    params: z.object({ theme: z.string().regex(/^[0-9a-f]{6}-(rounded|square)\.css$/) }),
    responses: { 200: { description: 'CSS', contentType: 'text/css' } },
    async handle(_context, { params: { theme } }) {
      const headers = { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': 'public, max-age=86400' };
      const corners = theme.includes('square') ? 'SQUARE' : 'ROUNDED';
      return { status: 200, headers, text: themeStyle(theme.slice(0, 6), corners) };
    },
  }),
  defineRoute({
    operationId: 'publicLogo',
    method: 'get',
    path: '/public/{ws}/logo/{picture}',
    tag: 'Public',
    summary: "A workspace's logo; its name is of its content, so it can be kept for ever",
    access: 'public',
    hidden: true,
    params: z.object({ ws: z.string().max(100), picture: z.string().regex(/^[0-9a-f]{64}\.png$/) }),
    responses: { 200: { description: 'PNG', contentType: 'image/png' } },
    async handle({ deps, raw: { response } }, { params: { ws, picture } }) {
      const workspaceId = await findPublicWorkspace(deps.db, ws);
      const png =
        workspaceId &&
        (await deps.db.workspaceTransaction(workspaceId, (tx) =>
          findLogoPicture(tx, workspaceId, picture.slice(0, 64)),
        ));
      if (!png) throw notFound('logo');
      response.setHeader('Content-Type', 'image/png');
      response.setHeader('Cache-Control', 'public, max-age=31536000, immutable');
      response.status(200).send(png);
      return { status: 200, handled: true };
    },
  }),
  defineRoute({
    operationId: 'showConfirmation',
    method: 'get',
    path: '/confirm/{token}',
    tag: 'Public',
    summary: 'The page behind a confirmation link: shows a button and changes nothing (scanners open links)',
    access: 'public',
    hidden: true,
    params,
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token } }) {
      const link = openToken(context, token);
      if (!link) return unknownLink(pageSetting(context.raw.request));
      const found = await context.deps.db.workspaceTransaction(link.workspaceId, async (tx) => {
        const request = await findOptInRequest(tx, link.workspaceId, link.requestId);
        return request && { request, theme: await findPageTheme(tx, link.workspaceId) };
      });
      return found ? statePage(context, found, token, link.expired) : unknownLink(pageSetting(context.raw.request));
    },
  }),
  defineRoute({
    operationId: 'confirmOptIn',
    method: 'post',
    path: '/confirm/{token}',
    tag: 'Public',
    summary: 'Confirms an opt-in; a second time changes nothing',
    access: 'public',
    hidden: true,
    params,
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token } }) {
      const { deps } = context;
      const link = openToken(context, token);
      if (!link) return unknownLink(pageSetting(context.raw.request));
      const { workspaceId, requestId } = link;
      const visitor = visitorOf(context.raw.request);
      const result = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
        const theme = await findPageTheme(tx, workspaceId);
        if (!link.expired) {
          const done = await confirmOptIn(tx, { workspaceId, requestId, visitor, httpRequestId: context.requestId });
          return done && { ...done, theme };
        }
        const request = await findOptInRequest(tx, workspaceId, requestId);
        return request && { request, confirmedNow: false, theme };
      });
      if (!result) return unknownLink(pageSetting(context.raw.request));
      if (result.confirmedNow) {
        inBackground(
          context,
          requestId,
          hintWorkflow(deps.temporal, optInWorkflowId(requestId), OPT_IN_CHANGED_SIGNAL),
        );
      }
      return statePage(context, result, token, link.expired);
    },
  }),
  defineRoute({
    operationId: 'renewConfirmation',
    method: 'post',
    path: '/confirm/{token}/renew',
    tag: 'Public',
    summary: 'Sends a new confirmation mail in place of an expired link',
    access: 'public',
    hidden: true,
    params,
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token } }) {
      const { deps } = context;
      const link = openToken(context, token);
      if (!link) return unknownLink(pageSetting(context.raw.request));
      try {
        const network = clientNetwork(context.raw.request);
        const limit = deps.config.PUBLIC_REQUESTS_PER_MINUTE;
        await limitRate(deps, 'renew-opt-in', [{ forWhom: network, limit, windowSeconds: 60 }]);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        return tooMany(context, error);
      }
      const { workspaceId, requestId } = link;
      const visitor = visitorOf(context.raw.request);
      const result = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
        const renewed = await renewOptIn(tx, { workspaceId, requestId, visitor, httpRequestId: context.requestId });
        return renewed && { ...renewed, theme: await findPageTheme(tx, workspaceId) };
      });
      if (!result) return unknownLink(pageSetting(context.raw.request));
      const { request, opened, theme } = result;
      const setting = pageSetting(context.raw.request, { locale: request.workspace_locale, theme });
      const { confirm } = setting.texts;
      const sender = request.workspace_name;
      if (!opened) {
        if (request.status === 'CONFIRMED') return statePage(context, result, token, link.expired);
        return page(setting, 410, {
          title: confirm.againTitle,
          sender,
          content: `<p>${escapeHtml(confirm.again)}</p>`,
        });
      }
      const start = optInWorkflow({ workspaceId, requestId: opened.requestId });
      inBackground(context, opened.requestId, ensureWorkflow(deps.temporal, start));
      return page(setting, 200, {
        title: confirm.renewedTitle,
        sender,
        content: `<p>${escapeHtml(confirm.renewed)}</p>`,
      });
    },
  }),
];
