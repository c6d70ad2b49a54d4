import { setTimeout as sleep } from 'node:timers/promises';
import { findSignUpPurpose, type PendingProfile, signUp } from '../../db/consent';
import { activeFieldDefinitions } from '../../db/contacts';
import { rateLimitBucket, takeRateLimit } from '../../db/workspace';
import { optInWorkflow } from '../../domain/consent';
import { normaliseEmail, parseLocale, parseTimeZone, tidyName, validateFields } from '../../domain/contacts';
import { one, type Queryable, sql } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import { invalidField, notFound, Problem } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { defineRoute } from '../http/route';
import type { z } from '../http/schemas';
import { signUpAnswer, signUpBody, signUpParams } from './schemas';
import { inBackground, visitorOf } from './visitor';

/** Nothing is answered sooner than this, so that what an address costs cannot be measured from outside. */
const FLOOR_MS = 40;

const ACCEPTED = {
  status: 'accepted' as const,
  detail: 'If the address is right, a mail with a confirmation link is on its way. Nothing is subscribed before that.',
};

/**
 * Sign-ups of one address in an hour that are worked on; what comes beyond is answered alike and changes nothing, so
 * that a crowd of networks cannot fill the proof with one person's address.
 */
const PER_ADDRESS_AND_HOUR = 20;

/** The workspace behind a slug or id. Public look-up: needs no workspace of the transaction. */
export async function findPublicWorkspace(db: Queryable, slugOrId: string): Promise<string | null> {
  const row = await one<{ id: string | null }>(db, sql`SELECT sally_find_workspace(${slugOrId.toLowerCase()}) AS id`);
  return row?.id ?? null;
}

/** What the visitor typed, checked. Depends on the workspace's field definitions, never on the address. */
export async function checkProfile(
  tx: Queryable,
  workspaceId: string,
  body: z.output<typeof signUpBody>,
): Promise<PendingProfile> {
  const profile: PendingProfile = {};
  if (body.first_name) profile.first_name = tidyName(body.first_name);
  if (body.last_name) profile.last_name = tidyName(body.last_name);
  if (body.locale) {
    profile.locale = parseLocale(body.locale) ?? undefined;
    if (profile.locale === undefined) throw invalidField('locale', 'must be a BCP 47 language tag such as "de-AT"');
  }
  if (body.time_zone) {
    profile.time_zone = parseTimeZone(body.time_zone) ?? undefined;
    if (profile.time_zone === undefined) throw invalidField('time_zone', 'must be an IANA time zone');
  }
  if (body.fields && Object.keys(body.fields).length > 0) {
    const checked = validateFields(await activeFieldDefinitions(tx, workspaceId), body.fields, { mode: 'update' });
    if (!checked.ok) {
      const errors = checked.errors.map(({ field, message }) => ({
        pointer: `/body/fields/${field}`,
        detail: message,
      }));
      throw new Problem('validation-failed', errors[0]?.detail ?? 'The custom fields are not valid.', { errors });
    }
    profile.fields = checked.fields;
  }
  return profile;
}

export const signUpRoutes = [
  defineRoute({
    operationId: 'signUp',
    method: 'post',
    path: '/public/{ws}/sign-up',
    tag: 'Public',
    summary: 'Sign up for a purpose; a confirmation mail follows',
    description:
      'The answer is the same whether the address is known or not. Nothing about an existing contact changes before ' +
      'the confirmation. `website` is a honeypot: hide it from people and leave it empty. At most 3 mails go to an ' +
      'address in any 24 hours; further sign-ups are answered alike.',
    access: 'public',
    params: signUpParams,
    body: signUpBody,
    bodyLimit: 64 * 1024,
    responses: { 202: { description: 'Accepted', schema: signUpAnswer } },
    async handle(context, { params, body }) {
      const floor = sleep(FLOOR_MS);
      const { deps } = context;
      await limitRate(deps, 'sign-up', [
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
      const emailHash = deps.addressHasher.hash(email.email);
      const bucket = rateLimitBucket(deps.addressHasher, 'sign-up-address', `${workspaceId}/${email.email}`);
      const { allowed } = await takeRateLimit(deps.db, bucket, PER_ADDRESS_AND_HOUR, 3_600);
      const ignored = !allowed || (body.website ?? '') !== '';
      const opened = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
        const purpose = await findSignUpPurpose(tx, workspaceId, body.purpose ?? null);
        if (!purpose) throw invalidField('purpose', 'must be the key of a marketing purpose of this workspace');
        const profile = await checkProfile(tx, workspaceId, body);
        if (ignored) return null;
        return signUp(tx, {
          workspaceId,
          email: email.email,
          emailHash,
          purpose,
          profile,
          visitor: visitorOf(context.raw.request),
          requestId: context.requestId,
        });
      });
      if (opened) {
        const { requestId } = opened;
        inBackground(context, requestId, ensureWorkflow(deps.temporal, optInWorkflow({ workspaceId, requestId })));
      }
      await floor;
      return { status: 202, body: ACCEPTED };
    },
  }),
];
