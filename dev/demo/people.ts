import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { Database } from '../../platform/postgres';
import { createOwner } from '../admin';
import { type Api, ApiError } from './api';

/** The workspace as the API is asked for it. */
export const COMPANY = {
  slug: 'demo',
  name: 'Example Company',
  time_zone: 'Europe/Berlin',
  from_name: 'Example Company',
  from_email: 'hello@mail.example.com',
  postal_address: 'Example Company, 1 Example Street, 10115 Berlin',
};

const PEOPLE = {
  owner: { email: 'olga.owner@example.com', name: 'Olga Owner' },
  marketer: { email: 'max.marketer@example.com', name: 'Max Marketer' },
  approver: { email: 'ada.approver@example.com', name: 'Ada Approver' },
} as const;
export type Person = keyof typeof PEOPLE;

const SCOPES = [
  ...['workspace:read', 'contacts:read', 'consent:read', 'content:read', 'campaigns:read', 'campaigns:operate'],
  ...['delivery:read', 'messages:send', 'senders:read', 'suppressions:read', 'alerts:read', 'audit:read'],
];

const session = z.object({ token: z.string() });
const identified = z.object({ id: z.string() });

/** The workspace of the demo and everybody in it, each with a session of their own. */
export interface Company {
  workspaceId: string;
  slug: string;
  /** The API as this person. */
  as: Record<Person, Api>;
  /** `/workspaces/{id}` */
  path: string;
  apiKey: string;
  /** False when an earlier demo made it. */
  isNew: boolean;
}

export interface Access {
  api: Api;
  /** For the first owner only, who cannot come through the API. */
  workerDatabaseUrl: string;
  /** Passwords are derived from it, so that a second demo knows them. */
  secret: string;
}

/**
 * Signs everybody in. At the first time the owner is made as `npm run admin -- create-owner` does it; the rest goes
 * through the API: the workspace, an invitation for the marketer and the approver each, an API key.
 */
export async function openCompany(access: Access): Promise<Company> {
  const owner = await signInOwner(access);
  const found = await findWorkspace(owner);
  const workspaceId = found ?? (await owner.post('/workspaces', identified, COMPANY)).id;
  const path = `/workspaces/${workspaceId}`;
  const marketer = await join(access, owner, path, 'marketer');
  const approver = await join(access, owner, path, 'approver');
  const key = z.object({ key: z.string() });
  const { key: apiKey } = await owner.post(`${path}/api-keys`, key, { name: 'Demo', scopes: SCOPES });
  const as = { owner, marketer, approver };
  return { workspaceId, slug: COMPANY.slug, as, path, apiKey, isNew: found === null };
}

async function signInOwner(access: Access): Promise<Api> {
  const known = await signIn(access, 'owner');
  if (known) return known;
  const db = new Database({ url: access.workerDatabaseUrl, applicationName: 'sally-demo', connections: 1 });
  try {
    await createOwner(db, { ...PEOPLE.owner, password: passwordOf(access, 'owner') });
  } finally {
    await db.close();
  }
  const made = await signIn(access, 'owner');
  if (!made) throw new Error(`${PEOPLE.owner.email} has another password than the demo's. Start over with --reset.`);
  return made;
}

async function findWorkspace(owner: Api): Promise<string | null> {
  const mine = z.object({ items: z.array(z.object({ id: z.string(), slug: z.string() })) });
  const { items } = await owner.get('/auth/workspaces', mine);
  return items.find((workspace) => workspace.slug === COMPANY.slug)?.id ?? null;
}

async function join(access: Access, owner: Api, path: string, person: 'marketer' | 'approver'): Promise<Api> {
  const known = await signIn(access, person);
  if (known) return known;
  const { email, name } = PEOPLE[person];
  const invitation = z.object({ token: z.string() });
  const { token } = await owner.post(`${path}/invitations`, invitation, { email, role: person });
  const accepted = { token, name, password: passwordOf(access, person) };
  await access.api.post('/auth/invitations/accept', z.unknown(), accepted);
  const joined = await signIn(access, person);
  if (!joined) throw new Error(`${name} accepted the invitation, but cannot sign in.`);
  return joined;
}

/** Undefined where there is no such person, or the password is another. */
async function signIn(access: Access, person: Person): Promise<Api | undefined> {
  const credentials = { email: PEOPLE[person].email, password: passwordOf(access, person) };
  try {
    const { token } = await access.api.post('/auth/sessions', session, credentials);
    return access.api.as(token);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return undefined;
    throw error;
  }
}

function passwordOf(access: Access, person: Person): string {
  return createHmac('sha256', access.secret).update(`demo password of the ${person}`).digest('base64url');
}
