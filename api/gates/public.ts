import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPageTheme } from '../../db/consent';
import { askAtGate, findGate, findPageWorkspace, type Gate, passGate, readGatePiece } from '../../db/gates';
import { rateLimitBucket, takeRateLimit } from '../../db/workspace';
import { optInWorkflow } from '../../domain/consent';
import { normaliseEmail } from '../../domain/contacts';
import { laneWorkflow } from '../../domain/delivery';
import { GATE_TEXTS, openGateToken, requiredFields } from '../../domain/gates';
import { ensureWorkflow, type WorkflowStart } from '../../platform/temporal';
import { checkProfile, findPublicWorkspace, visitorOf } from '../consent';
import { escapeHtml, page, pageSetting, unknownLink } from '../http/page';
import { invalidField, notFound, Problem } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { type AnyRoute, defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { headerText, plainText, z } from '../http/schemas';

/** Nothing is answered sooner than this, so that what an address costs cannot be measured from outside. */
const FLOOR_MS = 40;
/** Requests of one address in an hour that are worked on; what comes beyond is answered alike and changes nothing. */
const PER_ADDRESS_AND_HOUR = 20;

const ACCEPTED = {
  status: 'accepted' as const,
  detail: 'If the address is right and the conditions are met, a mail with the link is on its way.',
};

const askBody = z.strictObject({
  email: plainText(1_024).min(1),
  first_name: headerText(200).optional(),
  last_name: headerText(200).optional(),
  locale: plainText(35).optional(),
  time_zone: plainText(100).optional(),
  fields: z.record(z.string().max(63), z.unknown()).optional(),
  opt_in: z.boolean().default(false).openapi({ description: 'Asks for the opt-in of the gate along with the link.' }),
  website: z.string().max(10_000).optional().openapi({ description: 'A honeypot: leave it empty.' }),
});

/** Starts what follows the commit without letting the visitor wait; what is lost, the watchdog finds. */
function startLater(context: PublicContext, start: WorkflowStart): void {
  ensureWorkflow(context.deps.temporal, start).catch((error: unknown) => {
    context.log.warn({ err: error, workflowId: start.workflowId }, 'a workflow was not reached; the watchdog will');
  });
}

/** 422 for fields that the gate wants and nobody typed; says nothing about the address. */
function requireFields(gate: Gate, body: z.output<typeof askBody>): void {
  const given: Record<string, unknown> = { ...body, ...body.fields };
  const missing = requiredFields(gate.policy).filter((name) => (given[name] ?? '') === '');
  if (missing.length === 0) return;
  const errors = missing.map((name) => ({
    pointer: ['first_name', 'last_name', 'locale', 'time_zone'].includes(name)
      ? `/body/${name}`
      : `/body/fields/${name}`,
    detail: 'is needed here',
  }));
  throw new Problem('validation-failed', `These fields are needed: ${missing.join(', ')}.`, { errors });
}

const askForLink = defineRoute({
  operationId: 'askAtGate',
  method: 'post',
  path: '/public/{ws}/gates/{slug}',
  tag: 'Public',
  summary: 'Asks for a gated resource; a link is mailed to who meets the conditions',
  description:
    'The answer is the same whether the address is known, and whether the conditions are met or not. What is typed ' +
    'becomes the profile when the mailed link is used. At most 3 links of a gate go to an address in any 24 hours.',
  access: 'public',
  params: z.object({ ws: z.string().max(100), slug: z.string().max(100) }),
  body: askBody,
  bodyLimit: 64 * 1024,
  responses: {
    202: { description: 'Accepted', schema: z.object({ status: z.literal('accepted'), detail: z.string() }) },
  },
  async handle(context, { params, body }) {
    const floor = sleep(FLOOR_MS);
    const { deps } = context;
    await limitRate(deps, 'gate', [
      {
        forWhom: clientNetwork(context.raw.request),
        limit: deps.config.PUBLIC_REQUESTS_PER_MINUTE,
        windowSeconds: 60,
      },
    ]);
    const workspaceId = await findPublicWorkspace(deps.db, params.ws);
    if (workspaceId === null) throw notFound('workspace');
    const email = normaliseEmail(body.email);
    if (!email.ok) throw invalidField('email', email.message);
    const bucket = rateLimitBucket(deps.addressHasher, 'gate-address', `${workspaceId}/${email.email}`);
    const { allowed } = await takeRateLimit(deps.db, bucket, PER_ADDRESS_AND_HOUR, 3_600);
    const ignored = !allowed || (body.website ?? '') !== '';
    const answer = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
      const gate = await findGate(tx, workspaceId, { slug: params.slug.toLowerCase() });
      if (!gate) throw notFound('gate');
      if (body.opt_in && gate.optInPurposeId === null) throw invalidField('opt_in', 'This gate offers no opt-in.');
      const submitted = await checkProfile(tx, workspaceId, body);
      requireFields(gate, body);
      if (ignored) return null;
      return askAtGate(tx, {
        workspaceId,
        gate,
        email: email.email,
        emailHash: deps.addressHasher.hash(email.email),
        submitted: { ...submitted },
        optIn: body.opt_in,
        visitor: visitorOf(context.raw.request),
        defaultSender: { email: deps.config.EMAIL_FROM, name: deps.config.EMAIL_FROM_NAME },
        requestId: context.requestId,
      });
    });
    if (answer?.optIn) startLater(context, optInWorkflow({ workspaceId, requestId: answer.optIn.requestId }));
    if (answer?.delivery?.wake)
      startLater(context, laneWorkflow({ workspaceId, laneId: answer.delivery.laneId, urgent: true }));
    await floor;
    return { status: 202, body: ACCEPTED };
  },
});

/** No cache keeps it, no other site learns the link, no search engine shows it. */
const PRIVATE = { 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer', 'X-Robots-Tag': 'noindex, nofollow' };

const openGate = defineRoute({
  operationId: 'openGate',
  method: 'get',
  path: '/gates/{token}',
  tag: 'Public',
  summary: 'Gives the resource of a gate to who has a link',
  access: 'public',
  hidden: true,
  params: z.object({ token: z.string() }),
  responses: { 200: { description: 'The resource' } },
  async handle(context, { params }) {
    const { deps, raw } = context;
    const reference = openGateToken(deps.keyring, params.token);
    if (!reference) return unknownLink(pageSetting(raw.request));
    // Asking for the headers alone is no use.
    if (raw.request.method === 'HEAD') return { status: 200, text: '', headers: PRIVATE };
    const { workspaceId, grantId } = reference;
    const pass = await deps.db.workspaceTransaction(workspaceId, (tx) => passGate(tx, workspaceId, grantId));
    if (!pass) return unknownLink(pageSetting(raw.request));
    if (pass.outcome === 'GIVEN') return give(context, workspaceId, pass.gate);
    return refusal(context, workspaceId, pass.outcome === 'CONDITIONS');
  },
});

async function give(context: PublicContext, workspaceId: string, gate: Gate): Promise<RouteAnswer> {
  const { resource } = gate;
  switch (resource.type) {
    case 'url':
      return { status: 302, text: '', headers: { ...PRIVATE, Location: resource.url } };
    case 'json':
      return { status: 200, body: resource.document, headers: PRIVATE };
    case 'file': {
      const { response } = context.raw;
      response.status(200);
      for (const [name, value] of Object.entries(PRIVATE)) response.setHeader(name, value);
      response.attachment(resource.filename);
      response.setHeader('Content-Type', resource.contentType);
      response.setHeader('Content-Length', String(resource.bytes));
      response.setHeader('X-Content-Type-Options', 'nosniff');
      for (let position = 0; !response.destroyed; position += 1) {
        const piece = await context.deps.db.workspaceTransaction(workspaceId, (tx) =>
          readGatePiece(tx, workspaceId, gate.id, position),
        );
        if (piece === null) break;
        if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
      response.end();
      return { status: 200, handled: true };
    }
  }
}

async function refusal(context: PublicContext, workspaceId: string, conditions: boolean): Promise<RouteAnswer> {
  const [workspace, theme] = await context.deps.db.workspaceTransaction(workspaceId, async (tx) => [
    await findPageWorkspace(tx, workspaceId),
    await findPageTheme(tx, workspaceId),
  ]);
  const setting = pageSetting(context.raw.request, { locale: workspace?.default_locale ?? 'en', theme });
  const texts = GATE_TEXTS[setting.language];
  return page(setting, conditions ? 403 : 410, {
    title: conditions ? texts.conditionsTitle : texts.goneTitle,
    sender: workspace?.name,
    content: `<p>${escapeHtml(conditions ? texts.conditions : texts.gone)}</p>`,
  });
}

/** Public operations of content gates. */
export const publicGateRoutes: AnyRoute[] = [askForLink, openGate];
