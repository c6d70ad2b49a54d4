import type { Examples } from './example';
import type { World } from './world';

async function anErasure(world: World): Promise<string> {
  const { body } = await world.call('delete', `/workspaces/{ws}/contacts/${await world.contact()}`);
  return body.id;
}

async function anExport(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/exports', {});
  return body.id;
}

/** A finished export of one piece. */
async function aFile(world: World): Promise<string> {
  const job_id = await world.insert('jobs', {
    kind: 'exportContacts',
    status: 'DONE',
    input: JSON.stringify({ format: 'csv', audienceId: null, fields: [], consents: [] }),
    progress: JSON.stringify({ rows: 0, bytes: 4 }),
    result: JSON.stringify({ expiresAt: '2999-01-01T00:00:00Z' }),
  });
  await world.db.query('INSERT INTO export_chunks (workspace_id, job_id, position, data) VALUES ($1, $2, 0, $3)', [
    world.workspace.id,
    job_id,
    Buffer.from('id\r\n'),
  ]);
  return job_id;
}

/** Requests of the operations about data rights. */
export const rightsExamples: Examples = {
  deleteContact: async (world) => ({ params: { contact_id: await world.contact() } }),
  getErasure: async (world) => ({ params: { erasure_id: await anErasure(world) } }),
  listErasures: () => ({}),
  getContactTimeline: async (world) => ({ params: { contact_id: await world.contact() }, query: { kinds: 'consent' } }),
  getRetention: () => ({}),
  updateRetention: () => ({ body: { days: { exports: 5, delivery_addresses: 365 } } }),
  createExport: async (world) => ({ body: { format: 'ndjson', audience_id: await world.audience() } }),
  exportContact: async (world) => ({ params: { contact_id: await world.contact() } }),
  listExports: () => ({}),
  getExport: async (world) => ({ params: { export_id: await anExport(world) } }),
  cancelExport: async (world) => ({ params: { export_id: await anExport(world) } }),
  getExportFile: async (world) => ({ params: { export_id: await aFile(world) } }),
};
