import { seedConsent } from '../../../db/consent';
import { type MessageTokenPurpose, sealMessageToken } from '../../../domain/tracking';
import { one, sql } from '../../../platform/postgres';
import { confirmToken, sentMessage } from '../consent-world';
import { greyPng } from '../png';
import type { Examples } from './example';
import type { World } from './world';

const aPurpose = (world: World): Promise<string> =>
  world.call('post', '/workspaces/{ws}/purposes', newPurpose(world)).then(({ body }) => body.id);

const newPurpose = (world: World) => ({
  key: `p${world.unique()}`.replace(/[^a-z0-9]/g, 'x'),
  name: 'Product news',
  kind: 'marketing',
  wording: 'I would like to hear about new products.',
});

/** A sign-up's link, not confirmed yet. */
async function confirmation(world: World): Promise<{ params: { token: string } }> {
  const { api, workspace } = world;
  await seedConsent(world.db, workspace.id);
  const email = `${world.unique()}@visitors.example`;
  await world.call('post', `/public/${workspace.slug}/sign-up`, { email });
  const request = await one<{ id: string }>(
    world.db,
    sql`SELECT r.id FROM opt_in_requests r JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
        WHERE r.workspace_id = ${workspace.id} AND c.email = ${email}`,
  );
  return { params: { token: await confirmToken(api, workspace.id, request?.id ?? '') } };
}

async function messageLink(world: World, purpose: MessageTokenPurpose): Promise<{ params: { token: string } }> {
  await seedConsent(world.db, world.workspace.id);
  const sent = await sentMessage(world.api, world.workspace.id, { urls: ['https://example.com/'] });
  return { params: { token: sealMessageToken(world.api.deps.keyring, purpose, sent) } };
}

/** Requests of the operations of consent, sign-up, preferences and tracking. */
export const consentExamples: Examples = {
  listPurposes: () => ({}),
  createPurpose: (world) => ({ body: newPurpose(world) }),
  getPurpose: async (world) => ({ params: { purpose_id: await aPurpose(world) } }),
  updatePurpose: async (world) => ({
    params: { purpose_id: await aPurpose(world) },
    body: { wording: 'I would like to hear about new products and prices.' },
  }),
  archivePurpose: async (world) => ({ params: { purpose_id: await aPurpose(world) } }),
  listPurposeWordings: async (world) => ({ params: { purpose_id: await aPurpose(world) } }),
  listPreferenceCategories: () => ({}),
  createPreferenceCategory: (world) => ({
    body: { key: `c${world.unique()}`.replace(/[^a-z0-9]/g, 'x'), name: 'Tips and tricks' },
  }),
  listConsents: async (world) => ({ params: { contact_id: await world.contact() } }),
  setConsent: async (world) => ({
    params: { contact_id: await world.contact(), purpose_id: await aPurpose(world) },
    body: { status: 'granted', source: 'manual' },
  }),
  listConsentEvents: async (world) => ({ params: { contact_id: await world.contact() } }),
  signUp: async (world) => {
    await seedConsent(world.db, world.workspace.id);
    return { params: { ws: world.workspace.slug }, body: { email: `${world.unique()}@visitors.example` } };
  },
  showConfirmation: confirmation,
  confirmOptIn: confirmation,
  renewConfirmation: async (world) => {
    const link = await confirmation(world);
    await world.db.query(
      sql`UPDATE opt_in_requests SET status = 'EXPIRED' WHERE workspace_id = ${world.workspace.id} AND status = 'OPEN'`,
    );
    return link;
  },
  trackOpen: async (world) => {
    const { params } = await messageLink(world, 'message-tracking');
    return { params: { pixel_id: params.token } };
  },
  trackClick: async (world) => {
    const { params } = await messageLink(world, 'message-tracking');
    return { params: { click_token: `${params.token}.0` } };
  },
  updatePreferenceCategory: async (world) => {
    const { body } = await world.call('post', '/workspaces/{ws}/preference-categories', {
      key: `c${world.unique()}`.replace(/[^a-z0-9]/g, 'x'),
      name: 'Tips and tricks',
    });
    return { params: { category_id: body.id }, body: { name: 'Tips', translations: { de: { name: 'Tipps' } } } };
  },
  addPurposeWordingTranslation: async (world) => ({
    params: { purpose_id: await aPurpose(world) },
    body: { locale: 'de', wording: 'Ich möchte von neuen Produkten hören.' },
  }),
  getConsentEvidence: async (world) => ({ params: { contact_id: await world.contact() } }),
  printConsentEvidence: async (world) => ({ params: { contact_id: await world.contact() } }),
  getContactPreferences: async (world) => ({ params: { contact_id: await world.contact() } }),
  updateContactPreferences: async (world) => ({
    params: { contact_id: await world.contact() },
    body: { categories: [{ key: 'newsletter', frequency: 'MONTHLY' }] },
  }),
  unsubscribeContact: async (world) => ({ params: { contact_id: await world.contact() } }),
  listUnsubscribes: () => ({}),
  getPageTheme: () => ({}),
  setPageTheme: () => ({ body: { accent_color: '#b91c1c', corners: 'SQUARE', footer: 'Consent & Co, Main Street 1' } }),
  setPageLogo: () => ({ body: { alt: 'Consent & Co', png: greyPng(120, 40).toString('base64') } }),
  removePageLogo: async (world) => {
    const logo = { alt: 'Consent & Co', png: greyPng(120, 40).toString('base64') };
    await world.call('put', '/workspaces/{ws}/page-theme/logo', logo);
    return {};
  },
  getPreferences: (world) => messageLink(world, 'message-unsubscribe'),
  updatePreferences: async (world) => ({
    ...(await messageLink(world, 'message-unsubscribe')),
    body: { categories: [{ key: 'newsletter', subscribed: false, frequency: 'WEEKLY' }] },
  }),
  savePreferencesForm: async (world) => ({
    ...(await messageLink(world, 'message-unsubscribe')),
    rawBody: 'shown.newsletter=1&frequency.newsletter=DAILY',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  }),
  unsubscribeFromAll: (world) => messageLink(world, 'message-unsubscribe'),
  resubscribe: (world) => messageLink(world, 'message-unsubscribe'),
  showUnsubscribe: (world) => messageLink(world, 'message-unsubscribe'),
  unsubscribe: async (world) => ({
    ...(await messageLink(world, 'message-unsubscribe')),
    rawBody: 'List-Unsubscribe=One-Click',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  }),
};
