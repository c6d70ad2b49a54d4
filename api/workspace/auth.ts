import { findLogin, findSessionPerson, findWorkspacesOfSession, setPassword } from '../../db/workspace';
import { hashPassword, verifyPassword } from '../../platform/passwords';
import type { ApiDependencies } from '../dependencies';
import { invalidField, Problem } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { defineRoute } from '../http/route';
import { emailAddress, id, moment, z } from '../http/schemas';
import { SESSION_SECONDS, signSession } from '../http/session-token';
import { newPassword, role } from './schemas';

const TAG = 'Sign-in';
const QUARTER = 15 * 60;

const session = z
  .object({
    token: z.string(),
    expires_at: moment,
    user: z.object({ id, email: z.string(), name: z.string() }),
  })
  .openapi('Session');

const wrongPassword = () => new Problem('unauthenticated', 'The e-mail address or the password is wrong.');

async function openSession(deps: ApiDependencies, userId: string, epoch: number) {
  const person = await findSessionPerson(deps.db, userId, epoch);
  if (!person) throw wrongPassword();
  return {
    token: signSession(deps.keyring, userId, epoch),
    expires_at: new Date(Date.now() + SESSION_SECONDS * 1_000).toISOString(),
    user: { id: userId, email: person.email, name: person.name },
  };
}

/**
 * Guessing is limited per address and network, per network, and (so that a stranger can hardly lock somebody out)
 * generously per address. The same answer and the same work whether the address is known or not.
 */
export const createSession = defineRoute({
  operationId: 'createSession',
  method: 'post',
  path: '/auth/sessions',
  tag: TAG,
  summary: 'Sign in',
  description: 'Gives a session token for the Authorization header. It ends after 12 hours or with a new password.',
  access: 'public',
  readOnly: true,
  body: z.strictObject({ email: z.string().max(1_000), password: z.string().max(1_000) }),
  responses: {
    201: { description: 'Signed in', schema: session },
    401: { description: 'The e-mail address or the password is wrong' },
  },
  async handle(context, { body }) {
    const { deps, raw } = context;
    const parsed = emailAddress.safeParse(body.email);
    const email = parsed.success ? parsed.data : '';
    const network = clientNetwork(raw.request);
    await limitRate(deps, 'sign-in', [
      { forWhom: `${network} ${email}`, limit: 10, windowSeconds: QUARTER },
      { forWhom: network, limit: 200, windowSeconds: QUARTER },
      { forWhom: email, limit: 100, windowSeconds: QUARTER },
    ]);
    const login = email === '' ? null : await findLogin(deps.db, email);
    const matches = await verifyPassword(login?.passwordHash ?? null, body.password);
    if (!login || !matches) throw wrongPassword();
    return { status: 201, body: await openSession(deps, login.userId, login.sessionEpoch) };
  },
});

export const changePassword = defineRoute({
  operationId: 'changePassword',
  method: 'post',
  path: '/auth/password',
  tag: TAG,
  summary: 'Change your password',
  description: 'Ends every session of yours; the answer holds a new one.',
  access: 'session',
  body: z.strictObject({ current_password: z.string().max(1_000), new_password: newPassword }),
  responses: { 201: { description: 'Changed; a new session', schema: session } },
  async handle({ deps, userId, sessionEpoch }, { body }) {
    await limitRate(deps, 'password', [{ forWhom: userId, limit: 10, windowSeconds: QUARTER }]);
    const person = await findSessionPerson(deps.db, userId, sessionEpoch);
    const login = person && (await findLogin(deps.db, person.email));
    const matches = await verifyPassword(login?.passwordHash ?? null, body.current_password);
    if (!matches) throw invalidField('current_password', 'is not your password');
    const epoch = await setPassword(deps.db, userId, await hashPassword(body.new_password));
    return { status: 201, body: await openSession(deps, userId, epoch) };
  },
});

export const listOwnWorkspaces = defineRoute({
  operationId: 'listOwnWorkspaces',
  method: 'get',
  path: '/auth/workspaces',
  tag: TAG,
  summary: 'List the workspaces that you are a member of',
  access: 'session',
  responses: {
    200: {
      description: 'Your workspaces',
      schema: z.object({ items: z.array(z.object({ id, name: z.string(), slug: z.string(), role })) }),
    },
  },
  async handle({ deps, userId, sessionEpoch }) {
    return { status: 200, body: { items: await findWorkspacesOfSession(deps.db, userId, sessionEpoch) } };
  },
});
