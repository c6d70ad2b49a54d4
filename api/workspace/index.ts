import type { AnyRoute } from '../http/route';
import { acceptInvitation, invitationPages } from './accept-invitation';
import { acknowledgeWorkspaceAlert, listWorkspaceAlerts, resolveWorkspaceAlert } from './alerts';
import { createApiKey, listWorkspaceApiKeys, revokeWorkspaceApiKey } from './api-keys';
import { listAuditEntries } from './audit';
import { changePassword, createSession, listOwnWorkspaces } from './auth';
import { createInvitation, listWorkspaceInvitations, revokeWorkspaceInvitation } from './invitations';
import { changeMemberRole, listWorkspaceMembers, removeWorkspaceMember } from './members';
import { createWorkspace, getWorkspace, patchWorkspace } from './workspaces';

/** Sign-in, workspaces, people, keys, audit and alerts. */
export const workspaceRoutes: AnyRoute[] = [
  createSession,
  changePassword,
  listOwnWorkspaces,
  acceptInvitation,
  ...invitationPages,
  createWorkspace,
  getWorkspace,
  patchWorkspace,
  listWorkspaceMembers,
  changeMemberRole,
  removeWorkspaceMember,
  createInvitation,
  listWorkspaceInvitations,
  revokeWorkspaceInvitation,
  createApiKey,
  listWorkspaceApiKeys,
  revokeWorkspaceApiKey,
  listAuditEntries,
  listWorkspaceAlerts,
  acknowledgeWorkspaceAlert,
  resolveWorkspaceAlert,
];
