import { confirmOptIn, findOptInRequest, type OptInRequestRow, renewOptIn } from '../../db/consent';
import {
  OPT_IN_CHANGED_SIGNAL,
  type OptInToken,
  openOptInToken,
  optInWorkflow,
  optInWorkflowId,
} from '../../domain/consent';
import { ensureWorkflow, hintWorkflow } from '../../platform/temporal';
import { Problem } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { z } from '../http/schemas';
import { escapeHtml, PAGE_STYLE, page, STYLE_PATH, unknownLink } from './page';
import { inBackground, visitorOf } from './visitor';

const params = z.object({ token: z.string() });
const HTML = { contentType: 'text/html' };

function openToken(context: PublicContext, token: string): OptInToken | null {
  return openOptInToken(context.deps.keyring, token, new Date());
}

/** The page of a request's state; `token` goes back into the forms. */
function statePage(request: OptInRequestRow, token: string, expired: boolean): RouteAnswer {
  const sender = request.workspace_name;
  const state = request.status === 'OPEN' && expired ? 'EXPIRED' : request.status;
  switch (state) {
    case 'OPEN':
      return page(200, {
        title: 'Please confirm your subscription',
        sender,
        content: `<p>${escapeHtml(request.purpose_name)}: you agree to the following.</p>
<blockquote>${escapeHtml(request.wording)}</blockquote>
<form method="post" action="/confirm/${escapeHtml(token)}"><button type="submit">Yes, confirm</button></form>
<p class="note">If you did not ask for this, close this page. Nothing happens without your confirmation.</p>`,
      });
    case 'CONFIRMED':
      return page(200, {
        title: 'Your subscription is confirmed',
        sender,
        content: `<p>Thank you. ${escapeHtml(request.purpose_name)} was confirmed with this link. You can unsubscribe at any time with the link in every mail.</p>`,
      });
    case 'EXPIRED':
    case 'CANCELLED':
      return page(410, {
        title: 'This link has expired',
        sender,
        content: `<p>Links in confirmation mails work for a limited time only. Nothing was subscribed. We can send a new mail to the same address.</p>
<form method="post" action="/confirm/${escapeHtml(token)}/renew"><button type="submit">Send me a new mail</button></form>`,
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
      if (!link) return unknownLink();
      const request = await context.deps.db.workspaceTransaction(link.workspaceId, (tx) =>
        findOptInRequest(tx, link.workspaceId, link.requestId),
      );
      return request ? statePage(request, token, link.expired) : unknownLink();
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
      if (!link) return unknownLink();
      const { workspaceId, requestId } = link;
      const visitor = visitorOf(context.raw.request);
      const result = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
        if (!link.expired) {
          return confirmOptIn(tx, { workspaceId, requestId, visitor, httpRequestId: context.requestId });
        }
        const request = await findOptInRequest(tx, workspaceId, requestId);
        return request && { request, confirmedNow: false };
      });
      if (!result) return unknownLink();
      if (result.confirmedNow) {
        inBackground(
          context,
          requestId,
          hintWorkflow(deps.temporal, optInWorkflowId(requestId), OPT_IN_CHANGED_SIGNAL),
        );
      }
      return statePage(result.request, token, link.expired);
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
      if (!link) return unknownLink();
      try {
        const network = clientNetwork(context.raw.request);
        const limit = deps.config.PUBLIC_REQUESTS_PER_MINUTE;
        await limitRate(deps, 'renew-opt-in', [{ forWhom: network, limit, windowSeconds: 60 }]);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        const limited = page(error.status, {
          title: 'Too many requests',
          content: `<p>${escapeHtml(error.detail)}</p>`,
        });
        return { ...limited, headers: { ...limited.headers, ...error.options.headers } };
      }
      const { workspaceId, requestId } = link;
      const visitor = visitorOf(context.raw.request);
      const result = await deps.db.workspaceTransaction(workspaceId, (tx) =>
        renewOptIn(tx, { workspaceId, requestId, visitor, httpRequestId: context.requestId }),
      );
      if (!result) return unknownLink();
      const { request, opened } = result;
      if (!opened) {
        if (request.status === 'CONFIRMED') return statePage(request, token, link.expired);
        return page(410, {
          title: 'Please sign up again',
          sender: request.workspace_name,
          content:
            '<p>This link belongs to an address that is no longer on file. Please fill in the form once more.</p>',
        });
      }
      const start = optInWorkflow({ workspaceId, requestId: opened.requestId });
      inBackground(context, opened.requestId, ensureWorkflow(deps.temporal, start));
      return page(200, {
        title: 'A new mail is on its way',
        sender: request.workspace_name,
        content: `<p>Please use the link in the newest mail. At most three such mails go to one address in a day; if none arrives within a few minutes, look into the spam folder.</p>`,
      });
    },
  }),
];
