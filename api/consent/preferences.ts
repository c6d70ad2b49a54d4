import {
  askToResubscribe,
  leaveEverything,
  type PreferenceChoice,
  savePreferences,
  unsubscribe,
} from '../../db/consent';
import { writeAudit } from '../../db/workspace';
import { categoryTexts, FREQUENCIES, optInWorkflow } from '../../domain/consent';
import type { Queryable } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import { escapeHtml, page, pageSetting, unknownLink } from '../http/page';
import { invalidField, Problem, wrongState } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { z } from '../http/schemas';
import { FREQUENCY, preferencePage, SHOWN, TICKED } from './preference-page';
import { type PreferenceSubject, preferencesOf, withPreferences } from './preference-subject';
import { preferenceChange, preferences, signUpAnswer } from './schemas';
import { inBackground, tooMany, visitorOf } from './visitor';

const PATH = '/preferences/{token}';
const TAG = 'Preferences';
const params = z.object({ token: z.string() });
const HTML = { contentType: 'text/html' };
const AS_PAGE = 'With `Accept: text/html` the answer is a page, without scripts, in English, German or French.';
const VARY = { Vary: 'Accept-Language, Accept' };

/** Browsers ask for HTML by name; whoever takes anything gets JSON. */
function wantsPage({ raw }: PublicContext): boolean {
  return (raw.request.headers.accept ?? '').includes('text/html');
}

/** A link that is not ours, in the form that was asked for. */
function unknown(context: PublicContext): RouteAnswer {
  if (wantsPage(context)) return unknownLink(pageSetting(context.raw.request));
  throw new Problem('not-found', 'This link is not one of ours, or what it belonged to is gone.');
}

/** The state of the preferences as JSON or page. */
async function show(
  context: PublicContext,
  tx: Queryable,
  subject: PreferenceSubject,
  token: string,
  saved: boolean,
): Promise<RouteAnswer> {
  const rows = await preferencesOf(tx, subject);
  if (wantsPage(context)) return preferencePage(subject, rows, token, saved);
  return { status: 200, headers: VARY, body: showPreferences(subject, rows) };
}

function showPreferences(
  { workspaceName, contact, setting }: PreferenceSubject,
  rows: Awaited<ReturnType<typeof preferencesOf>>,
): z.output<typeof preferences> {
  return {
    workspace: workspaceName,
    status: contact?.status ?? 'ACTIVE',
    categories: rows.map((row) => ({
      key: row.key,
      ...categoryTexts(row, setting.language),
      subscribed: row.subscribed,
      frequency: row.frequency,
      updated_at: row.updated_at?.toISOString() ?? null,
    })),
  };
}

/** Saves choices and shows what holds now. The link in a test mail changes nothing. */
async function change(
  context: PublicContext,
  token: string,
  choices: readonly PreferenceChoice[],
): Promise<RouteAnswer> {
  const answer = await withPreferences(context, token, 'change', async (tx, subject) => {
    const { workspaceId, contact } = subject;
    if (contact) {
      const unknownKey = await savePreferences(tx, {
        workspaceId,
        contactId: contact.id,
        choices,
        source: 'PREFERENCE_CENTER',
        actor: { type: 'public' },
        httpRequestId: context.requestId,
      });
      if (unknownKey !== null) throw invalidField('categories', `No category has the key "${unknownKey}".`);
    }
    return show(context, tx, subject, token, contact !== null);
  });
  return answer ?? unknown(context);
}

/** The choices of a form; whatever it did not show is left alone. */
function choicesOfForm(form: Record<string, string>): PreferenceChoice[] {
  const frequency = z.enum(FREQUENCIES);
  return Object.keys(form)
    .filter((name) => name.startsWith(SHOWN))
    .map((name) => {
      const key = name.slice(SHOWN.length);
      const chosen = frequency.safeParse(form[`${FREQUENCY}${key}`]);
      return { key, subscribed: form[`${TICKED}${key}`] !== undefined, frequency: chosen.data };
    });
}

export const preferenceRoutes = [
  defineRoute({
    operationId: 'getPreferences',
    method: 'get',
    path: PATH,
    tag: TAG,
    summary: 'What a contact gets, and how often',
    description: `The token of a preference link or of a message's unsubscribe link is the capability. Changes nothing. ${AS_PAGE}`,
    access: 'public',
    params,
    responses: { 200: { description: 'The preferences', schema: preferences } },
    async handle(context, { params: { token } }) {
      const answer = await withPreferences(context, token, 'show', (tx, subject) =>
        show(context, tx, subject, token, false),
      );
      return answer ?? unknown(context);
    },
  }),
  defineRoute({
    operationId: 'updatePreferences',
    method: 'post',
    path: PATH,
    tag: TAG,
    summary: 'Leave or rejoin categories, or change how often',
    description:
      'All or nothing; categories that are not named stay as they are. Counts from the next message on. Who has ' +
      'unsubscribed from everything keeps choices but gets nothing: see `resubscribe`.',
    access: 'public',
    params,
    body: preferenceChange,
    responses: { 200: { description: 'The preferences as they are now', schema: preferences } },
    handle: (context, { params: { token }, body }) => change(context, token, body.categories),
  }),
  defineRoute({
    operationId: 'savePreferencesForm',
    method: 'post',
    path: `${PATH}/save`,
    tag: TAG,
    summary: "The page's form",
    access: 'public',
    hidden: true,
    params,
    accepts: { types: ['application/x-www-form-urlencoded'], mode: 'form' },
    body: z.record(z.string().max(100), z.string().max(100)),
    bodyLimit: 64 * 1024,
    responses: { 200: { description: 'Page', ...HTML } },
    handle: (context, { params: { token }, body }) => change(context, token, choicesOfForm(body)),
  }),
  defineRoute({
    operationId: 'unsubscribeFromAll',
    method: 'post',
    path: `${PATH}/unsubscribe`,
    tag: TAG,
    summary: 'Unsubscribe from all bulk mail',
    description: `Transactional mail still arrives. Twice is the same as once. ${AS_PAGE}`,
    access: 'public',
    params,
    responses: { 200: { description: 'The preferences as they are now', schema: preferences } },
    async handle(context, { params: { token } }) {
      const visitor = visitorOf(context.raw.request);
      const answer = await withPreferences(context, token, 'change', async (tx, subject) => {
        const { workspaceId, contact, delivery } = subject;
        if (!contact) return show(context, tx, subject, token, false);
        const httpRequestId = context.requestId;
        const source = 'PREFERENCE_CENTER' as const;
        if (delivery) {
          await unsubscribe(tx, { workspaceId, delivery, choice: 'everything', source, visitor, httpRequestId });
        } else {
          const purposeId = null;
          const changed = await leaveEverything(tx, { workspaceId, contactId: contact.id, source, purposeId, visitor });
          await writeAudit(tx, {
            workspaceId,
            actor: { type: 'public' },
            action: 'contact.unsubscribe',
            entityType: 'contact',
            entityId: contact.id,
            old: { status: contact.status },
            new: { scope: 'everything', source, changed },
            requestId: httpRequestId,
          });
        }
        const status = contact.status === 'ACTIVE' ? ('UNSUBSCRIBED' as const) : contact.status;
        return show(context, tx, { ...subject, contact: { ...contact, status } }, token, true);
      });
      return answer ?? unknown(context);
    },
  }),
  defineRoute({
    operationId: 'resubscribe',
    method: 'post',
    path: `${PATH}/resubscribe`,
    tag: TAG,
    summary: 'Ask to be subscribed again; a confirmation mail follows',
    description: `A link may have been forwarded, so nothing changes before the confirmation. ${AS_PAGE}`,
    access: 'public',
    params,
    responses: {
      202: { description: 'A mail is on its way', schema: signUpAnswer },
      409: { description: 'Mail to the address bounced or was reported' },
    },
    async handle(context, { params: { token } }) {
      const { deps, raw } = context;
      const html = wantsPage(context);
      try {
        const limit = deps.config.PUBLIC_REQUESTS_PER_MINUTE;
        await limitRate(deps, 'resubscribe', [{ forWhom: clientNetwork(raw.request), limit, windowSeconds: 60 }]);
      } catch (error) {
        if (html && error instanceof Problem) return tooMany(context, error);
        throw error;
      }
      const done = await withPreferences(context, token, 'change', async (tx, subject) => {
        const { workspaceId, contact, delivery, setting } = subject;
        if (!contact) return { subject, opened: null };
        if (contact.status === 'BOUNCED' || contact.status === 'COMPLAINED') {
          if (html) return { subject, opened: null };
          throw wrongState('address', contact.status, 'Nothing is sent to it.');
        }
        const opened = await askToResubscribe(tx, {
          workspaceId,
          contactId: contact.id,
          purposeId: delivery?.purpose_id ?? null,
          locale: setting.language,
          visitor: visitorOf(raw.request),
          httpRequestId: context.requestId,
        });
        return { subject, opened };
      });
      if (!done) return unknown(context);
      const { subject, opened } = done;
      if (opened) {
        const { requestId } = opened;
        const start = optInWorkflow({ workspaceId: subject.workspaceId, requestId });
        inBackground(context, requestId, ensureWorkflow(deps.temporal, start));
      }
      const { preferences: texts } = subject.setting.texts;
      if (!html) return { status: 202, body: { status: 'accepted', detail: texts.againDone } };
      if (!opened) return preferencePage(subject, [], token);
      return page(subject.setting, 202, {
        title: texts.againTitle,
        sender: subject.workspaceName,
        content: `<p>${escapeHtml(texts.againDone)}</p>`,
      });
    },
  }),
];
