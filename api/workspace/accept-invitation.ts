import {
  createUser,
  findInvitationByToken,
  findLogin,
  findOpenInvitation,
  type InvitationByToken,
  insertMember,
  takeInvitation,
  writeAudit,
} from '../../db/workspace';
import { openInvitationToken } from '../../domain/consent';
import { sha256 } from '../../platform/crypto';
import { hashPassword, verifyPassword } from '../../platform/passwords';
import type { ApiDependencies } from '../dependencies';
import { escapeHtml, type PageSetting, page, pageSetting, unknownLink } from '../http/page';
import { invalidField, Problem } from '../http/problem';
import { clientNetwork, limitRate } from '../http/rate-limit';
import { defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { headerText, id, z } from '../http/schemas';
import { newPassword, role } from './schemas';

const QUARTER = 15 * 60;
const MAX_TOKEN = 600;
const name = headerText(200).min(1);

const ended = () => new Problem('gone', 'This invitation does not exist, was used, was revoked or has expired.');

/** The open invitation of a token: the one that was shown once, or that of the mailed link. */
async function findInvitation(deps: ApiDependencies, token: string): Promise<InvitationByToken | null> {
  const mailed = openInvitationToken(deps.keyring, token);
  if (!mailed) return findInvitationByToken(deps.db, sha256(token));
  return deps.db.workspaceTransaction(mailed.workspaceId, (tx) =>
    findOpenInvitation(tx, mailed.workspaceId, mailed.id),
  );
}

/** Guessing passwords of invited people is limited per network and per invitation. */
async function limitGuesses({ deps, raw }: PublicContext, invitation: InvitationByToken): Promise<void> {
  await limitRate(deps, 'invitation', [
    { forWhom: clientNetwork(raw.request), limit: 60, windowSeconds: QUARTER },
    { forWhom: invitation.id, limit: 10, windowSeconds: QUARTER },
  ]);
}

/** Makes the invited person a member; of somebody who has an account it takes the password. Returns their id. */
async function accept(
  { deps, requestId }: PublicContext,
  found: InvitationByToken,
  person: { name: string; password: string },
): Promise<string> {
  const { workspaceId, email } = found;
  const known = await findLogin(deps.db, email);
  if (known && !(await verifyPassword(known.passwordHash, person.password))) {
    throw invalidField('password', 'The address has an account already: give its password.');
  }
  const passwordHash = known ? null : await hashPassword(person.password);
  return deps.db.workspaceTransaction(workspaceId, async (tx) => {
    if (!(await takeInvitation(tx, workspaceId, found.id))) throw ended();
    const made = passwordHash === null ? null : await createUser(tx, { email, name: person.name, passwordHash });
    const member = known?.userId ?? made;
    // Somebody made an account for this address in this very moment (or it is disabled).
    if (!member) throw new Problem('conflict', 'The address has an account. Try again with its password.');
    if (!(await insertMember(tx, { workspaceId, userId: member, role: found.role }))) {
      throw new Problem('conflict', 'You are a member of this workspace already.');
    }
    await writeAudit(tx, {
      workspaceId,
      actor: { type: 'user', userId: member },
      action: 'invitation.accept',
      entityType: 'invitation',
      entityId: found.id,
      new: { user_id: member, role: found.role },
      requestId,
    });
    return member;
  });
}

export const acceptInvitation = defineRoute({
  operationId: 'acceptInvitation',
  method: 'post',
  path: '/auth/invitations/accept',
  tag: 'Sign-in',
  summary: 'Accept an invitation',
  description:
    'Makes the invited person, or, where the address already belongs to somebody, asks for their password. The token (shown once, or the last part of the mailed link) is the capability; it works once.',
  access: 'public',
  body: z.strictObject({ token: z.string().max(MAX_TOKEN), name, password: newPassword }),
  responses: {
    201: {
      description: 'A member now',
      schema: z.object({ user_id: id, role, workspace: z.object({ id, name: z.string() }) }),
    },
    410: { description: 'The invitation has ended' },
  },
  async handle(context, { body }) {
    const { deps, raw } = context;
    await limitRate(deps, 'invitation-token', [
      { forWhom: clientNetwork(raw.request), limit: 60, windowSeconds: QUARTER },
    ]);
    const found = await findInvitation(deps, body.token);
    if (!found) throw ended();
    await limitGuesses(context, found);
    const userId = await accept(context, found, body);
    return {
      status: 201,
      body: { user_id: userId, role: found.role, workspace: { id: found.workspaceId, name: found.workspaceName } },
    };
  },
});

const params = z.object({ token: z.string() });
const HTML = { contentType: 'text/html' };

function formPage(setting: PageSetting, found: InvitationByToken, token: string, wrong: string | null): RouteAnswer {
  const { invitation: texts } = setting.texts;
  return page(setting, wrong === null ? 200 : 422, {
    title: texts.title(found.workspaceName),
    sender: found.workspaceName,
    content: `${wrong === null ? '' : `<p class="done" role="alert">${escapeHtml(texts.wrong)}: ${escapeHtml(wrong)}</p>\n`}<p>${escapeHtml(texts.lead(found.role))}</p>
<p>${escapeHtml(texts.known)}</p>
<form method="post" action="/invitations/${escapeHtml(token)}">
<p><label class="field">${escapeHtml(texts.name)}
<input type="text" name="name" required maxlength="200" autocomplete="name"></label></p>
<p><label class="field">${escapeHtml(texts.password)}
<input type="password" name="password" required minlength="12" maxlength="200" autocomplete="new-password"></label></p>
<button type="submit">${escapeHtml(texts.button)}</button>
</form>`,
  });
}

/** The page for a mailed link that leads to no open invitation. */
function endedPage(setting: PageSetting): RouteAnswer {
  const { invitation: texts } = setting.texts;
  return page(setting, 410, { title: texts.endedTitle, content: `<p>${escapeHtml(texts.ended)}</p>` });
}

/** Why an acceptance did not work, in the page's language. */
function reasonOf({ texts }: PageSetting, problem: Problem): string {
  if (problem.type === 'rate-limited') return texts.tooMany(problem.options.headers?.['Retry-After'] ?? '60');
  return problem.type === 'validation-failed' ? texts.invitation.passwordWrong : texts.invitation.conflict;
}

async function openPage(context: PublicContext, token: string): Promise<InvitationByToken | RouteAnswer> {
  const setting = pageSetting(context.raw.request);
  // The token that is shown once stays with whoever was given it: the page is for mailed links.
  if (!openInvitationToken(context.deps.keyring, token)) return unknownLink(setting);
  return (await findInvitation(context.deps, token)) ?? endedPage(setting);
}

export const invitationPages = [
  defineRoute({
    operationId: 'showInvitation',
    method: 'get',
    path: '/invitations/{token}',
    tag: 'Public',
    summary: 'The page behind an invitation mail: asks for name and password, changes nothing',
    access: 'public',
    hidden: true,
    params,
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token } }) {
      const found = await openPage(context, token);
      return 'status' in found ? found : formPage(pageSetting(context.raw.request), found, token, null);
    },
  }),
  defineRoute({
    operationId: 'acceptInvitationForm',
    method: 'post',
    path: '/invitations/{token}',
    tag: 'Public',
    summary: "The page's form",
    access: 'public',
    hidden: true,
    params,
    accepts: { types: ['application/x-www-form-urlencoded'], mode: 'form' },
    body: z.record(z.string().max(100), z.string().max(1_000)),
    bodyLimit: 16 * 1024,
    responses: { 200: { description: 'Page', ...HTML } },
    async handle(context, { params: { token }, body }) {
      const found = await openPage(context, token);
      if ('status' in found) return found;
      const setting = pageSetting(context.raw.request);
      try {
        await limitGuesses(context, found);
        const given = { name: name.safeParse(body.name), password: newPassword.safeParse(body.password) };
        const { invitation: texts } = setting.texts;
        if (!given.name.success) return formPage(setting, found, token, texts.nameWrong);
        if (!given.password.success) return formPage(setting, found, token, texts.passwordShort);
        await accept(context, found, { name: given.name.data, password: given.password.data });
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        return error.type === 'gone' ? endedPage(setting) : formPage(setting, found, token, reasonOf(setting, error));
      }
      const { invitation: texts } = setting.texts;
      return page(setting, 200, {
        title: texts.doneTitle,
        sender: found.workspaceName,
        content: `<p>${escapeHtml(texts.done(found.workspaceName))}</p>`,
      });
    },
  }),
];
