import { one, sql } from '../../../platform/postgres';
import type { Examples } from './example';
import type { World } from './world';

const CONTENT = {
  subject_template: 'Hello {{ first_name|default("there") }}',
  body_html:
    '<html><body><p>Hello {{ first_name|default("there") }}</p><a href="https://shop.example/">Shop</a></body></html>',
};
const CONSENTED = { all_consented: true, from_email: 'news@mail.example' };

/** A template of the workspace; its id and slug. */
export async function exampleTemplate(world: World, more: Record<string, unknown> = {}) {
  const slug = `t-${world.unique()}`;
  const { body } = await world.call('POST', '/workspaces/{ws}/email-marketing/templates', {
    name: `Template ${slug}`,
    slug,
    category: 'TRANSACTIONAL',
    ...CONTENT,
    ...more,
  });
  return { id: String(body.id), slug };
}

/** A marketing purpose of the workspace; its key. */
async function purpose(world: World): Promise<string> {
  const known = await one<{ key: string }>(
    world.db,
    sql`SELECT key FROM purposes WHERE workspace_id = ${world.workspace.id} AND kind = 'marketing' ORDER BY id LIMIT 1`,
  );
  if (known) return known.key;
  const key = `p${world.unique().toLowerCase()}`.replaceAll('-', '');
  await world.insert('purposes', { key, name: 'News', kind: 'marketing', wording: 'Send me news.' });
  return key;
}

/** A campaign in DRAFT, written by the marketer, so that the owner may approve it. */
export async function draftCampaign(world: World, more: Record<string, unknown> = {}): Promise<string> {
  return asMarketer(world, 'campaigns', {
    name: `Campaign ${world.unique()}`,
    purpose: await purpose(world),
    ...CONTENT,
    ...CONSENTED,
    ...more,
  });
}

async function asMarketer(world: World, path: string, body?: unknown): Promise<string> {
  const response = await world.api.request('POST', `/workspaces/${world.workspace.id}/email-marketing/${path}`, {
    token: world.workspace.tokens.marketer,
    body,
  });
  if (response.status >= 300) throw new Error(`${path}: ${response.status} ${response.text}`);
  return response.body.id;
}

/** A campaign whose message waits for approval; both ids. */
export async function submittedCampaign(world: World, more: Record<string, unknown> = {}) {
  const campaignId = await draftCampaign(world, more);
  return { campaignId, messageId: await asMarketer(world, `campaigns/${campaignId}/submit`) };
}

/** A campaign that may be scheduled. */
export async function approvedCampaign(world: World, more: Record<string, unknown> = {}): Promise<string> {
  const { campaignId, messageId } = await submittedCampaign(world, more);
  await world.call('POST', `/workspaces/{ws}/email-marketing/messages/${messageId}/approve`, { comment: 'Fine.' });
  return campaignId;
}

/** A campaign scheduled for tomorrow. */
export async function scheduledCampaign(world: World): Promise<string> {
  const campaignId = await approvedCampaign(world);
  await world.call('POST', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/schedule`, {
    scheduled_at: new Date(Date.now() + 86_400_000).toISOString(),
  });
  return campaignId;
}

/** Requests of the operations of content, approval, campaigns and transactional mail. */
export const contentExamples: Examples = {
  listTemplates: () => ({}),
  createTemplate: (world) => ({
    body: { name: 'Welcome', slug: `w-${world.unique()}`, category: 'GENERAL', ...CONTENT },
  }),
  getTemplate: async (world) => ({ params: { template_id: (await exampleTemplate(world)).id } }),
  updateTemplate: async (world) => ({
    params: { template_id: (await exampleTemplate(world)).id },
    body: { name: 'Another name' },
  }),
  deleteTemplate: async (world) => ({ params: { template_id: (await exampleTemplate(world)).id } }),
  previewTemplate: async (world) => ({
    params: { template_id: (await exampleTemplate(world)).id },
    body: { contact_id: await world.contact() },
  }),
  listMessages: () => ({}),
  getMessage: async (world) => ({ params: { message_id: (await submittedCampaign(world)).messageId } }),
  approveMessage: async (world) => ({ params: { message_id: (await submittedCampaign(world)).messageId }, body: {} }),
  rejectMessage: async (world) => ({
    params: { message_id: (await submittedCampaign(world)).messageId },
    body: { comment: 'The price is wrong.' },
  }),
  listCampaigns: () => ({}),
  createCampaign: async (world) => ({ body: { name: 'Spring', purpose: await purpose(world), ...CONTENT } }),
  getCampaign: async (world) => ({ params: { campaign_id: await draftCampaign(world) } }),
  updateCampaign: async (world) => ({ params: { campaign_id: await draftCampaign(world) }, body: { notes: 'Soon.' } }),
  deleteCampaign: async (world) => ({ params: { campaign_id: await draftCampaign(world) } }),
  submitCampaign: async (world) => ({ params: { campaign_id: await draftCampaign(world) } }),
  scheduleCampaign: async (world) => ({
    params: { campaign_id: await approvedCampaign(world) },
    body: { scheduled_at: new Date(Date.now() + 86_400_000).toISOString() },
  }),
  sendCampaign: async (world) => ({ params: { campaign_id: await approvedCampaign(world) } }),
  pauseCampaign: async (world) => ({ params: { campaign_id: await scheduledCampaign(world) } }),
  resumeCampaign: async (world) => {
    const campaignId = await scheduledCampaign(world);
    await world.call('POST', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/pause`);
    return { params: { campaign_id: campaignId } };
  },
  forecastCampaign: async (world) => ({ params: { campaign_id: await scheduledCampaign(world) }, body: { days: 2 } }),
  cancelCampaign: async (world) => ({ params: { campaign_id: await scheduledCampaign(world) } }),
  testCampaign: async (world) => ({
    params: { campaign_id: await draftCampaign(world) },
    body: { to: [world.workspace.people.owner.email] },
  }),
  listCampaignRecipients: async (world) => ({ params: { campaign_id: await draftCampaign(world) } }),
  getCampaignLedger: async (world) => ({ params: { campaign_id: await draftCampaign(world) } }),
  sendTransactionalMessage: async (world) => ({
    body: { template: (await exampleTemplate(world)).slug, to: { email: `${world.unique()}@contacts.example` } },
  }),
};
