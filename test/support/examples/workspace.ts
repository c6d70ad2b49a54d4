import { invitationUrl } from '../../../domain/consent';
import { uuidv7 } from '../../../platform/ids';
import { one, sql } from '../../../platform/postgres';
import { TEST_PASSWORD } from '../api';
import type { Examples } from './example';
import type { World } from './world';

/** A further person who is a viewer in the world's workspace. */
async function viewer(world: World): Promise<string> {
  const { people } = await world.api.createWorkspace('Elsewhere');
  await world.db.query(
    sql`INSERT INTO memberships (workspace_id, user_id, role) VALUES (${world.workspace.id}, ${people.viewer.id}, 'viewer')`,
  );
  return people.viewer.id;
}

async function invitation(world: World): Promise<{ id: string; token: string }> {
  const response = await world.call('POST', '/workspaces/{ws}/invitations', {
    email: `${world.unique()}@people.example`,
    role: 'viewer',
  });
  return { id: response.body.id, token: response.body.token };
}

/** The token of the link in an invitation's mail. */
async function mailedInvitation(world: World): Promise<{ token: string }> {
  const { id } = await invitation(world);
  const reference = { workspaceId: world.workspace.id, id };
  const url = invitationUrl(world.api.deps.keyring, world.api.url, reference, new Date(Date.now() + 60_000));
  return { token: url.slice(url.lastIndexOf('/') + 1) };
}

async function alert(world: World): Promise<string> {
  const row = await one<{ id: string }>(
    world.db,
    sql`SELECT sally_raise_alert(${world.workspace.id}, 'example', ${uuidv7()}, 'warning', 'An example', '{}') AS id`,
  );
  return row?.id ?? '';
}

/** Requests of the operations of workspaces, members, keys, audit and alerts. */
export const workspaceExamples: Examples = {
  createSession: (world) => ({ body: { email: world.workspace.people.owner.email, password: TEST_PASSWORD } }),
  // Leaves the world's tokens as they are: the person is another workspace's.
  changePassword: async (world) => {
    const { people } = await world.api.createWorkspace('Elsewhere');
    return {
      headers: { authorization: `Bearer ${people.viewer.token}` },
      body: { current_password: TEST_PASSWORD, new_password: 'another long password' },
    };
  },
  listOwnWorkspaces: () => ({}),
  acceptInvitation: async (world) => {
    const { token } = await invitation(world);
    return { body: { token, name: 'Ada Lovelace', password: 'a password of hers' } };
  },
  showInvitation: async (world) => ({ params: await mailedInvitation(world) }),
  acceptInvitationForm: async (world) => ({
    params: await mailedInvitation(world),
    rawBody: 'name=Ada+Lovelace&password=a+password+of+hers',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  }),
  createWorkspace: (world) => ({ body: { name: `Workspace ${world.unique()}`, time_zone: 'Europe/Berlin' } }),
  getWorkspace: () => ({}),
  updateWorkspace: () => ({ body: { postal_address: '1 Example Street' } }),
  listMembers: () => ({}),
  changeMemberRole: async (world) => ({ params: { user_id: await viewer(world) }, body: { role: 'marketer' } }),
  removeMember: async (world) => ({ params: { user_id: await viewer(world) } }),
  createInvitation: (world) => ({ body: { email: `${world.unique()}@people.example`, role: 'viewer' } }),
  listInvitations: () => ({}),
  revokeInvitation: async (world) => ({ params: { invitation_id: (await invitation(world)).id } }),
  createApiKey: () => ({ body: { name: 'Example', scopes: ['contacts:read'] } }),
  listApiKeys: () => ({}),
  revokeApiKey: async (world) => {
    const made = await world.call('POST', '/workspaces/{ws}/api-keys', { name: 'Example', scopes: ['audit:read'] });
    return { params: { api_key_id: made.body.id } };
  },
  listAudit: () => ({ query: { entity_type: 'workspace' } }),
  listAlerts: () => ({ query: { status: 'all' } }),
  acknowledgeAlert: async (world) => ({ params: { alert_id: await alert(world) } }),
  resolveAlert: async (world) => ({ params: { alert_id: await alert(world) } }),
};
