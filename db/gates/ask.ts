import { mailLanguage } from '../../domain/consent';
import { GATE_TEMPLATE, type GateFacts, type GateVerdict, judgeGate } from '../../domain/gates';
import type { Queryable } from '../../platform/postgres';
import {
  contactLocales,
  findOrCreateContact,
  findPurpose,
  type OpenedRequest,
  signUp,
  type VisitorTrace,
} from '../consent';
import { lockContact } from '../contacts';
import { type DefaultSender, freezeTemplateMessage } from '../content';
import { type EnqueuedDelivery, enqueueDelivery } from '../delivery';
import { writeAudit } from '../workspace';
import { ensureGateTemplates, type Gate } from './gates';
import { gateFacts, insertGrant, mayMailLink, type SubmittedProfile } from './grants';

/** A visitor's request for a gate's resource, checked. */
export interface GateRequest {
  workspaceId: string;
  gate: Gate;
  /** Normalised. */
  email: string;
  emailHash: Buffer;
  submitted: SubmittedProfile;
  /** Asks for the gate's opt-in along with the link. */
  optIn: boolean;
  visitor: VisitorTrace;
  defaultSender: DefaultSender;
  /** Of the HTTP request, for the audit. */
  requestId: string;
}

/** What has to be started after the commit. */
export interface GateAnswer {
  optIn: OpenedRequest | null;
  delivery: EnqueuedDelivery | null;
}

/**
 * Records the request, starts the opt-in that was asked for, and puts the mail with the link into the ledger, unless the
 * conditions are not met. A consent that was only just asked for counts as met here: it is checked again when the link
 * is used, and by then it has to be confirmed.
 */
export async function askAtGate(tx: Queryable, asked: GateRequest): Promise<GateAnswer> {
  const { workspaceId, gate } = asked;
  const { contactId } = await findOrCreateContact(tx, { ...asked, origin: 'SIGN_UP' });
  if (!(await lockContact(tx, workspaceId, contactId))) return { optIn: null, delivery: null };
  const purpose = asked.optIn && gate.optInPurposeId ? await findPurpose(tx, workspaceId, gate.optInPurposeId) : null;
  const optIn = purpose ? await signUp(tx, { ...asked, purpose, profile: asked.submitted }) : null;
  const facts = await gateFacts(tx, { workspaceId, contactId, policy: gate.policy, submitted: asked.submitted });
  if (!facts) return { optIn, delivery: null };
  const { verdicts } = judgeGate(gate.policy, facts);
  const { open } = judgeGate(gate.policy, withPending(facts, purpose?.id ?? null));
  if (open && !(await mayMailLink(tx, workspaceId, gate.id, contactId))) return { optIn, delivery: null };
  const delivery = await grant(tx, asked, contactId, open, verdicts);
  return { optIn, delivery };
}

function withPending(facts: GateFacts, purposeId: string | null): GateFacts {
  return purposeId === null ? facts : { ...facts, consents: new Set([...facts.consents, purposeId]) };
}

async function grant(
  tx: Queryable,
  asked: GateRequest,
  contactId: string,
  open: boolean,
  verdicts: readonly GateVerdict[],
): Promise<EnqueuedDelivery | null> {
  const { workspaceId, gate, submitted } = asked;
  const status = open ? 'GRANTED' : 'REFUSED';
  const { maxUses, linkSeconds } = gate;
  const row = await insertGrant(tx, {
    ...{ workspaceId, gateId: gate.id, contactId, status, verdicts, maxUses, linkSeconds },
    submitted: open ? submitted : {},
  });
  await writeAudit(tx, {
    workspaceId,
    actor: { type: 'public' },
    action: open ? 'gate.grant' : 'gate.refuse',
    entityType: 'gate_grant',
    entityId: row.id,
    new: { gate_id: gate.id, contact_id: contactId, verdicts },
    requestId: asked.requestId,
  });
  if (!open) return null;
  const locales = await contactLocales(tx, workspaceId, contactId);
  const typed = typeof submitted.locale === 'string' ? submitted.locale : null;
  // What was typed now counts before what is known of the contact, whoever it was that typed it.
  const language = mailLanguage(typed, locales.contact, asked.visitor.language, locales.workspace);
  const template = { workspaceId, slug: GATE_TEMPLATE, language, defaultSender: asked.defaultSender };
  let message = await freezeTemplateMessage(tx, template);
  if (!message) {
    await ensureGateTemplates(tx, workspaceId);
    message = await freezeTemplateMessage(tx, template);
  }
  // Somebody has switched the template off: the grant stands, and no mail goes out.
  if (!message) return null;
  return enqueueDelivery(tx, {
    workspaceId,
    sourceType: 'TRANSACTIONAL',
    sourceId: row.id,
    stepKey: 'gate',
    contactId,
    address: null,
    recipientName: null,
    addressHash: null,
    emailDomain: asked.email.slice(asked.email.lastIndexOf('@') + 1),
    messageId: message.messageId,
    context: { gate: true, gate_name: gate.name },
    expiresAt: row.expires_at,
  });
}
