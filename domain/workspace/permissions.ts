/** Roles of a member of a workspace (design, section 7). */
export const ROLES = ['owner', 'marketer', 'approver', 'operator', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

/** What a route asks for; also the scopes an API key may be limited to. */
export const PERMISSIONS = [
  'workspace:read',
  'workspace:write',
  'members:read',
  'members:write',
  'keys:read',
  'keys:write',
  'audit:read',
  'contacts:read',
  'contacts:write',
  'consent:read',
  'consent:write',
  'content:read',
  'content:write',
  'content:approve',
  'campaigns:read',
  'campaigns:write',
  'campaigns:operate',
  'delivery:read',
  'delivery:settle',
  'messages:send',
  'senders:read',
  'senders:write',
  'suppressions:read',
  'suppressions:write',
  'alerts:read',
  'alerts:write',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

const READ = PERMISSIONS.filter(
  (permission) => permission.endsWith(':read') && !['keys:read', 'audit:read'].includes(permission),
);

/**
 * The role matrix. A marketer writes everything but approvals and senders, an approver approves, an operator stops,
 * resumes, settles and looks after senders; only the owner manages people.
 */
const GRANTS: Record<Role, ReadonlySet<Permission>> = {
  owner: new Set(PERMISSIONS),
  marketer: new Set<Permission>([
    ...READ,
    'keys:read',
    'keys:write',
    'contacts:write',
    'consent:write',
    'content:write',
    'campaigns:write',
    'campaigns:operate',
    'messages:send',
    'suppressions:write',
  ]),
  approver: new Set<Permission>([
    ...READ,
    'keys:read',
    'keys:write',
    'audit:read',
    'content:approve',
    'campaigns:operate',
  ]),
  operator: new Set<Permission>([
    ...READ,
    'keys:read',
    'keys:write',
    'audit:read',
    'campaigns:operate',
    'delivery:settle',
    'senders:write',
    'suppressions:write',
    'alerts:write',
  ]),
  viewer: new Set<Permission>(READ),
};

/** Whether a role may do what `permission` names. */
export function roleMay(role: Role, permission: Permission): boolean {
  return GRANTS[role].has(permission);
}

/** Whether a member, perhaps acting through a key with scopes, may do what `permission` names. */
export function mayDo(role: Role, scopes: readonly string[] | null, permission: Permission): boolean {
  return roleMay(role, permission) && (scopes === null || scopes.includes(permission));
}
