import type { CampaignRow } from '../../db/campaigns';
import type { FrozenContent, WorkspaceForContent } from '../../db/content';
import {
  findDefaultIdentity,
  findDefaultPool,
  findIdentity,
  findPool,
  type IdentityRow,
  type PoolRow,
} from '../../db/senders';
import type { PermittedSender } from '../../domain/senders';
import { invalidField } from '../http/problem';
import type { WorkspaceContext } from '../http/route';

type FrozenSender = Pick<FrozenContent, 'fromName' | 'fromEmail' | 'replyTo' | 'permittedSenders' | 'routing'>;

/**
 * Who a campaign would be from at this moment, and what may be chosen when it is sent. A campaign that names an
 * identity or an address is from that alone; any other may be from the identities of its pool as well.
 */
export async function senderOf(
  context: WorkspaceContext,
  campaign: CampaignRow,
  workspace: WorkspaceForContent,
): Promise<FrozenSender> {
  const { tx, workspaceId } = context;
  const pool = campaign.sending_pool_id
    ? await findPool(tx, workspaceId, campaign.sending_pool_id)
    : await findDefaultPool(tx, workspaceId);
  if (campaign.sending_pool_id && !pool) {
    throw invalidField('sending_pool_id', 'The campaign’s sending pool was deleted. Choose another one.');
  }
  const identity = await chosenIdentity(context, campaign);
  const nameOf = (from: IdentityRow | null) =>
    campaign.from_name ??
    (from?.display_name ||
      from?.default_from_name ||
      workspace.from_name ||
      context.deps.config.EMAIL_FROM_NAME ||
      workspace.name);
  const permitted = (from: IdentityRow): PermittedSender => ({
    email: from.email,
    name: nameOf(from),
    reply_to: campaign.reply_to ?? from.reply_to ?? from.default_reply_to,
  });
  const isPinned = identity !== null || campaign.from_email !== null;
  const ofPool = pool ? await identitiesOf(context, pool) : [];
  const preset = identity ?? (campaign.from_email === null ? await findDefaultIdentity(tx, workspaceId) : null);
  // Where every member has an address of its own, the message's is one of theirs: no other would ever be used.
  const allOwn = !isPinned && ofPool.length > 0 && pool?.members.every((member) => member.identity_id !== null);
  const from = allOwn ? (ofPool.find((known) => known.id === preset?.id) ?? ofPool[0] ?? null) : preset;
  const fallbacks = [from?.email, campaign.from_email, workspace.from_email, context.deps.config.EMAIL_FROM];
  const fromEmail = fallbacks.find((email) => email);
  if (!fromEmail) throw invalidField('from_email', 'Neither the campaign nor its workspace names a From address.');
  const sender = from ?? ofPool.find((known) => known.email === fromEmail) ?? null;
  const senders = isPinned ? [] : ofPool.filter((known) => known.email !== fromEmail).map(permitted);
  const fits = pool === null || hasWayOut(pool, ofPool, [fromEmail, ...senders.map((known) => known.email)]);
  if (!fits && campaign.sending_pool_id) {
    throw invalidField('sending_pool_id', `No member of the pool “${pool.name}” sends from ${fromEmail}.`);
  }
  // A pool by default holds nobody up: a campaign that none of its members may send goes as without it.
  const poolId = fits ? (pool?.id ?? null) : null;
  const config = campaign.routing_config;
  const routing =
    poolId === null && config === null
      ? null
      : {
          pool_id: poolId,
          strategy: config?.strategy ?? null,
          preferred_providers: config?.preferred_providers ?? [],
          fallback_enabled: config?.fallback_enabled ?? true,
          senders,
        };
  return {
    fromEmail,
    fromName: nameOf(sender),
    replyTo: sender ? permitted(sender).reply_to : campaign.reply_to,
    permittedSenders: senders.length === 0 ? null : [fromEmail, ...senders.map((known) => known.email)],
    routing,
  };
}

async function chosenIdentity(context: WorkspaceContext, campaign: CampaignRow): Promise<IdentityRow | null> {
  if (campaign.sending_identity_id === null) return null;
  const identity = await findIdentity(context.tx, context.workspaceId, campaign.sending_identity_id);
  if (!identity?.is_active) {
    throw invalidField('sending_identity_id', 'The campaign’s sending identity is not active any more.');
  }
  return identity;
}

/** The active identities among a pool's members, in their order. */
async function identitiesOf(context: WorkspaceContext, pool: PoolRow): Promise<IdentityRow[]> {
  const found = new Map<string, IdentityRow>();
  for (const { identity_id } of pool.members) {
    if (identity_id === null || found.has(identity_id)) continue;
    const identity = await findIdentity(context.tx, context.workspaceId, identity_id);
    if (identity?.is_active) found.set(identity_id, identity);
  }
  return [...found.values()];
}

/** Whether any member of a pool may send from one of these addresses. */
function hasWayOut(pool: PoolRow, identities: IdentityRow[], emails: string[]): boolean {
  return pool.members.some(
    ({ identity_id }) =>
      identity_id === null || identities.some((known) => known.id === identity_id && emails.includes(known.email)),
  );
}
