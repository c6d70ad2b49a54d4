import type { Examples } from './example';
import type { World } from './world';

async function aField(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/contact-fields', newField(world));
  return body.id;
}

const newField = (world: World) => ({ name: `field_${world.unique()}`, type: 'number' });

async function anAudienceWithMember(world: World): Promise<{ audience_id: string; contact: string }> {
  const [audience_id, contact] = [await world.audience(), await world.contact()];
  return { audience_id, contact };
}

/** A complete upload without content; its id. */
function anUpload(world: World): Promise<string> {
  return world.insert('uploads', { filename: 'contacts.csv', content_type: 'text/csv', completed_at: new Date() });
}

async function anImport(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/imports', { upload_id: await anUpload(world) });
  return body.id;
}

async function aBulkEdit(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/contacts/bulk-edit', { all: true, add_tags: ['seen'] });
  return body.id;
}

async function aSuppression(world: World, state: 'ACTIVE' | 'HELD' = 'ACTIVE'): Promise<string> {
  const domain = `${world.unique()}.example`;
  return world.insert('suppressions', { domain, hint: domain, reason: 'MANUAL', source: 'API', state });
}

const TREE = { all: [{ type: 'field', field: 'email_domain', operator: 'equals', value: 'contacts.example' }] };

/** Requests of the operations of contacts, audiences, imports and suppressions. */
export const contactsExamples: Examples = {
  createContact: (world) => ({ body: { email: `${world.unique()}@contacts.example`, first_name: 'Ada' } }),
  listContacts: () => ({ query: { search: 'a' } }),
  getContact: async (world) => ({ params: { contact_id: await world.contact() } }),
  updateContact: async (world) => ({ params: { contact_id: await world.contact() }, body: { first_name: 'Ada' } }),
  lookUpContact: async (world) => {
    const email = `${world.unique()}@contacts.example`;
    await world.contact({ email });
    return { body: { email } };
  },
  upsertContacts: (world) => ({
    body: {
      contacts: [
        { email: `${world.unique()}@contacts.example`, external_ids: [{ kind: 'crm', value: world.unique() }] },
      ],
    },
  }),
  mergeContacts: async (world) => ({
    params: { contact_id: await world.contact() },
    body: { contact_id: await world.contact() },
  }),
  rebuildContact: async (world) => {
    const body = { email: `${world.unique()}@contacts.example`, first_name: 'Ada' };
    const made = await world.call('post', '/workspaces/{ws}/contacts', body);
    return { params: { contact_id: made.body.id } };
  },
  listSubmissions: async (world) => ({ params: { contact_id: await world.contact() } }),
  createContactField: (world) => ({ body: newField(world) }),
  listContactFields: () => ({}),
  getContactField: async (world) => ({ params: { field_id: await aField(world) } }),
  updateContactField: async (world) => ({ params: { field_id: await aField(world) }, body: { label: 'Seats' } }),
  deleteContactField: async (world) => ({ params: { field_id: await aField(world) } }),
  createUpload: () => ({ rawBody: 'email\nada@contacts.example\n', headers: { 'content-type': 'text/csv' } }),
  getUpload: async (world) => ({ params: { upload_id: await anUpload(world) } }),
  createImport: async (world) => ({ body: { upload_id: await anUpload(world) } }),
  listImports: () => ({}),
  getImport: async (world) => ({ params: { import_id: await anImport(world) } }),
  cancelImport: async (world) => ({ params: { import_id: await anImport(world) } }),
  getImportRejections: async (world) => ({ params: { import_id: await anImport(world) } }),
  bulkEditContacts: async (world) => ({ body: { contact_ids: [await world.contact()], add_tags: ['vip'] } }),
  listContactJobs: () => ({}),
  getContactJob: async (world) => ({ params: { job_id: await aBulkEdit(world) } }),
  cancelContactJob: async (world) => ({ params: { job_id: await aBulkEdit(world) } }),
  createAudience: (world) => ({ body: { name: `List ${world.unique()}` } }),
  listAudiences: () => ({}),
  getAudience: async (world) => ({ params: { audience_id: await world.audience() } }),
  updateAudience: async (world) => ({ params: { audience_id: await world.audience() }, body: { description: 'New' } }),
  deleteAudience: async (world) => ({ params: { audience_id: await world.audience() } }),
  listAudienceMembers: async (world) => ({ params: { audience_id: await world.audience() } }),
  previewAudience: () => ({ body: { conditions: TREE } }),
  refreshAudience: async (world) => {
    const { body } = await world.call('post', '/workspaces/{ws}/audiences', {
      name: `Segment ${world.unique()}`,
      conditions: TREE,
    });
    return { params: { audience_id: body.id } };
  },
  addAudienceMembers: async (world) => {
    const { audience_id, contact } = await anAudienceWithMember(world);
    return { params: { audience_id }, body: { contact_ids: [contact] } };
  },
  removeAudienceMembers: async (world) => {
    const { audience_id, contact } = await anAudienceWithMember(world);
    return { params: { audience_id }, body: { contact_ids: [contact] } };
  },
  listSuppressions: () => ({}),
  createSuppressions: (world) => ({ body: { addresses: [`${world.unique()}@contacts.example`] } }),
  checkSuppression: () => ({ body: { address: 'ada@contacts.example' } }),
  releaseSuppression: async (world) => ({ params: { suppression_id: await aSuppression(world, 'HELD') } }),
  removeSuppression: async (world) => ({
    params: { suppression_id: await aSuppression(world) },
    body: { reason: 'MISTAKE', evidence: 'Ticket 4711' },
  }),
  listSuppressionRemovals: () => ({}),
  uploadSuppressions: (world) => ({
    query: { note: 'From the old system' },
    rawBody: `email\n${world.unique()}@contacts.example\n@${world.unique()}.example\n`,
    headers: { 'content-type': 'text/csv' },
  }),
  getBouncePolicy: () => ({}),
  setBouncePolicy: () => ({ body: { soft_bounces: 3, within_days: 14 } }),
};
