import {
  type CampaignContent,
  type CampaignDetails,
  type CampaignRow,
  missingAudiences,
  resolveKeys,
} from '../../db/campaigns';
import { findTemplate } from '../../db/content';
import { findIdentity, findPool, missingProviders } from '../../db/senders';
import { canonicalHash } from '../../domain/content';
import { requireConditions } from '../audiences';
import { invalidField, Problem } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import type { CampaignInput } from './schemas';

/** Where consent is asked for unless the campaign says otherwise; made with every workspace. */
const DEFAULT_PURPOSE = 'newsletter';

const NOTHING: CampaignContent & CampaignDetails = {
  name: '',
  description: '',
  goals: [],
  tags: [],
  notes: '',
  send_window: null,
  expires_at: null,
  template_id: null,
  subject: null,
  html: null,
  text: null,
  preview_text: null,
  template_context: {},
  from_name: null,
  from_email: null,
  reply_to: null,
  sending_pool_id: null,
  sending_identity_id: null,
  routing_config: null,
  category_id: null,
  purpose_id: null,
  include_audiences: [],
  exclude_audiences: [],
  all_consented: false,
  audience_conditions: null,
  tracking: true,
};

/** What a request makes of a campaign (null: a new one); throws 422 for what it refers to and does not exist. */
export async function applyInput(
  context: WorkspaceContext,
  before: CampaignRow | null,
  input: CampaignInput,
): Promise<CampaignContent & CampaignDetails> {
  const old = before ?? NOTHING;
  const keys = await resolve(context, before, input);
  const after: CampaignContent & CampaignDetails = {
    name: input.name ?? old.name,
    description: input.description ?? old.description,
    goals: input.goals ?? old.goals,
    tags: input.tags ?? old.tags,
    notes: input.notes ?? old.notes,
    send_window: input.send_window === undefined ? old.send_window : input.send_window,
    expires_at: input.expires_at === undefined ? old.expires_at : toDate(input.expires_at),
    template_id: input.template_id === undefined ? old.template_id : input.template_id,
    subject: input.subject_template === undefined ? old.subject : input.subject_template,
    html: input.body_html === undefined ? old.html : input.body_html,
    text: input.body_text === undefined ? old.text : input.body_text,
    preview_text: input.preview_text === undefined ? old.preview_text : input.preview_text,
    template_context: input.template_context ?? old.template_context,
    from_name: input.from_name === undefined ? old.from_name : input.from_name,
    from_email: input.from_email === undefined ? old.from_email : input.from_email,
    reply_to: input.reply_to === undefined ? old.reply_to : input.reply_to,
    sending_pool_id: input.sending_pool_id === undefined ? old.sending_pool_id : input.sending_pool_id,
    sending_identity_id: input.sending_identity_id === undefined ? old.sending_identity_id : input.sending_identity_id,
    routing_config: input.routing_config === undefined ? old.routing_config : input.routing_config,
    category_id: keys.categoryId,
    purpose_id: keys.purposeId,
    include_audiences: input.audiences?.include ?? old.include_audiences,
    exclude_audiences: input.audiences?.exclude ?? old.exclude_audiences,
    all_consented: input.all_consented ?? old.all_consented,
    audience_conditions: await conditionsOf(context, old, input),
    tracking: input.tracking ?? old.tracking,
  };
  await check(context, after, input);
  await checkRouting(context, after, input);
  return after;
}

async function conditionsOf(context: WorkspaceContext, old: CampaignContent, { audience_conditions }: CampaignInput) {
  if (audience_conditions === undefined) return old.audience_conditions;
  return audience_conditions === null ? null : requireConditions(context, audience_conditions, 'audience_conditions');
}

async function resolve(context: WorkspaceContext, before: CampaignRow | null, input: CampaignInput) {
  const wanted = {
    category: input.category ?? null,
    purpose: input.purpose ?? (before === null && input.purpose === undefined ? DEFAULT_PURPOSE : null),
  };
  const found = await resolveKeys(context.tx, context.workspaceId, wanted);
  if (input.category && !found.categoryId) throw invalidField('category', 'No preference category has this key.');
  if (input.purpose && !found.purpose) throw invalidField('purpose', 'No purpose has this key.');
  if (input.purpose && found.purpose?.kind !== 'marketing') {
    throw invalidField('purpose', 'A campaign needs a marketing purpose.');
  }
  const purposeId = found.purpose?.kind === 'marketing' ? found.purpose.id : null;
  return {
    categoryId: input.category === undefined ? (before?.category_id ?? null) : found.categoryId,
    purposeId: before !== null && input.purpose === undefined ? before.purpose_id : purposeId,
  };
}

async function check(
  context: WorkspaceContext,
  after: CampaignContent & CampaignDetails,
  input: CampaignInput,
): Promise<void> {
  const own = after.subject !== null || after.html !== null || after.text !== null || after.preview_text !== null;
  if (after.template_id !== null && own) {
    throw invalidField(
      'template_id',
      'A campaign has a template or content of its own, not both; set the other to null.',
    );
  }
  if (input.template_id) {
    const template = await findTemplate(context.tx, context.workspaceId, input.template_id);
    if (!template) throw invalidField('template_id', 'No template with this id exists.');
  }
  const lists = [...after.include_audiences, ...after.exclude_audiences];
  if (after.all_consented && after.include_audiences.length > 0) {
    throw invalidField('audiences/include', 'all_consented takes the place of included audiences.');
  }
  const missing = input.audiences ? await missingAudiences(context.tx, context.workspaceId, lists) : [];
  if (missing.length > 0) {
    const errors = (['include', 'exclude'] as const).flatMap((part) =>
      (input.audiences?.[part] ?? []).flatMap((audience, index) =>
        missing.includes(audience)
          ? [{ pointer: `/body/audiences/${part}/${index}`, detail: 'No audience with this id exists.' }]
          : [],
      ),
    );
    throw new Problem('validation-failed', 'An audience does not exist.', { errors });
  }
}

/** 422 for what a campaign says of its way out and cannot be. */
async function checkRouting(context: WorkspaceContext, after: CampaignContent, input: CampaignInput): Promise<void> {
  const { tx, workspaceId } = context;
  if (after.sending_identity_id !== null && after.from_email !== null) {
    throw invalidField(
      input.sending_identity_id ? 'sending_identity_id' : 'from_email',
      'A campaign is from an identity or from an address of its own, not both; set the other to null.',
    );
  }
  if (input.sending_pool_id && !(await findPool(tx, workspaceId, input.sending_pool_id))) {
    throw invalidField('sending_pool_id', 'No sending pool with this id exists.');
  }
  if (input.sending_identity_id) {
    const identity = await findIdentity(tx, workspaceId, input.sending_identity_id);
    if (!identity) throw invalidField('sending_identity_id', 'No sending identity with this id exists.');
    if (!identity.is_active) throw invalidField('sending_identity_id', 'This sending identity is not active.');
  }
  const { strategy } = after.routing_config ?? {};
  if (strategy === 'weighted' && after.sending_pool_id === null) {
    throw invalidField(
      'routing_config/strategy',
      'Weights are those of a pool’s members: name one in sending_pool_id.',
    );
  }
  const preferred = input.routing_config?.preferred_providers ?? [];
  const missing = await missingProviders(tx, workspaceId, preferred);
  if (missing.length > 0) {
    const errors = preferred.flatMap((provider, index) =>
      missing.includes(provider)
        ? [{ pointer: `/body/routing_config/preferred_providers/${index}`, detail: 'No provider with this id exists.' }]
        : [],
    );
    throw new Problem('validation-failed', 'A preferred provider does not exist.', { errors });
  }
}

/** The part of a campaign that an approval pins, for comparison. */
export function pinnedPart(campaign: CampaignContent): CampaignContent {
  const { template_id, subject, html, text, preview_text, template_context, from_name, from_email, reply_to } =
    campaign;
  const {
    category_id,
    purpose_id,
    include_audiences,
    exclude_audiences,
    all_consented,
    audience_conditions,
    tracking,
  } = campaign;
  const { sending_pool_id, sending_identity_id, routing_config } = campaign;
  return {
    ...{ template_id, subject, html, text, preview_text, template_context, from_name, from_email, reply_to },
    ...{ category_id, purpose_id, include_audiences, exclude_audiences, all_consented, audience_conditions },
    tracking,
    ...{ sending_pool_id, sending_identity_id, routing_config },
  };
}

/** What the audit keeps of a campaign: content by its hash. */
export function forAudit(campaign: CampaignContent & CampaignDetails) {
  const { subject: _subject, html: _html, text: _text, preview_text: _previewText, ...rest } = pinnedPart(campaign);
  const { name, description, goals, tags, notes, send_window, expires_at } = campaign;
  const content_sha256 = canonicalHash(pinnedPart(campaign));
  return { name, description, goals, tags, notes, send_window, expires_at, ...rest, content_sha256 };
}

function toDate(value: string | null): Date | null {
  return value === null ? null : new Date(value);
}
