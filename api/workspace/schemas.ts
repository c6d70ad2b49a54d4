import type { Alert, ApiKey, AuditEntry, Invitation, Member, Workspace } from '../../db/workspace';
import { APPROVAL_MODES, PERMISSIONS, ROLES } from '../../domain/workspace';
import { emailAddress, headerText, id, jsonObject, locale, moment, plainText, timeZone, z } from '../http/schemas';

export const role = z.enum(ROLES);
export const permission = z.enum(PERMISSIONS);

/** A new password. Length is what counts (NIST SP 800-63B, 5.1.1.2); the upper bound keeps hashing cheap. */
export const newPassword = z.string().min(12).max(200);

const domainName = z
  .string()
  .max(253)
  .transform((value, context) => {
    const parsed = emailAddress.safeParse(`postmaster@${value}`);
    if (parsed.success) return parsed.data.slice('postmaster@'.length);
    context.addIssue({ code: 'custom', message: 'must be an Internet domain, for example "mail.example.com"' });
    return z.NEVER;
  })
  .openapi({ example: 'mail.example.com' });

const name = headerText(200).min(1);
const DAY = 86_400;

export const newWorkspace = z.strictObject({
  name,
  slug: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be 1 to 63 lower-case letters, digits and hyphens')
    .optional(),
  time_zone: timeZone.default('UTC'),
  from_name: headerText(200).default(''),
  from_email: emailAddress.nullable().default(null),
  postal_address: plainText(1_000).default(''),
  message_domain: domainName.optional(),
});

export const workspaceChange = z.strictObject({
  name: name.optional(),
  time_zone: timeZone.optional(),
  default_locale: locale.optional(),
  message_domain: domainName.optional(),
  from_name: headerText(200).optional(),
  from_email: emailAddress.nullable().optional(),
  postal_address: plainText(1_000).optional(),
  approval_mode: z.enum(APPROVAL_MODES).optional(),
  opt_in_reminder_seconds: z
    .number()
    .int()
    .min(60)
    .max(30 * DAY)
    .optional(),
  opt_in_expiry_seconds: z
    .number()
    .int()
    .min(300)
    .max(60 * DAY)
    .optional(),
  template_context: jsonObject(32_768).optional(),
  test_recipients: z.array(emailAddress).max(50).optional(),
});

export const workspace = z
  .object({
    id,
    name: z.string(),
    slug: z.string(),
    time_zone: z.string(),
    default_locale: z.string(),
    message_domain: z.string(),
    from_name: z.string(),
    from_email: z.string().nullable(),
    postal_address: z.string(),
    approval_mode: z.enum(APPROVAL_MODES),
    opt_in_reminder_seconds: z.number().int(),
    opt_in_expiry_seconds: z.number().int(),
    template_context: jsonObject(32_768),
    test_recipients: z.array(z.string()),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Workspace');

/** The document of a workspace; also what the audit keeps of it. */
export function showWorkspace(row: Workspace): z.input<typeof workspace> {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    time_zone: row.timeZone,
    default_locale: row.defaultLocale,
    message_domain: row.messageDomain,
    from_name: row.fromName,
    from_email: row.fromEmail,
    postal_address: row.postalAddress,
    approval_mode: row.approvalMode,
    opt_in_reminder_seconds: row.optInReminderSeconds,
    opt_in_expiry_seconds: row.optInExpirySeconds,
    template_context: row.templateContext,
    test_recipients: row.testRecipients,
    version: row.version,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

export const member = z
  .object({ user_id: id, email: z.string(), name: z.string(), role, created_at: moment })
  .openapi('Member');

export function showMember(row: Member): z.input<typeof member> {
  return {
    user_id: row.userId,
    email: row.email,
    name: row.name,
    role: row.role,
    created_at: row.createdAt.toISOString(),
  };
}

export const invitation = z
  .object({
    id,
    email: z.string(),
    role,
    status: z.enum(['OPEN', 'ACCEPTED', 'REVOKED', 'EXPIRED']),
    invited_by: id,
    expires_at: moment,
    created_at: moment,
  })
  .openapi('Invitation');

export function showInvitation(row: Invitation): z.input<typeof invitation> {
  return {
    id: row.id,
    email: row.email,
    role: row.role,
    status: row.status,
    invited_by: row.invitedBy,
    expires_at: row.expiresAt.toISOString(),
    created_at: row.createdAt.toISOString(),
  };
}

export const apiKey = z
  .object({
    id,
    user_id: id,
    name: z.string(),
    hint: z.string().openapi({ description: 'The first characters of the key, to recognise it by' }),
    scopes: z.array(z.string()),
    expires_at: moment.nullable(),
    last_used_at: moment.nullable().openapi({ description: 'Exact to ten minutes' }),
    revoked_at: moment.nullable(),
    created_at: moment,
  })
  .openapi('ApiKey');

export function showApiKey(row: ApiKey): z.input<typeof apiKey> {
  return {
    id: row.id,
    user_id: row.userId,
    name: row.name,
    hint: row.hint,
    scopes: row.scopes,
    expires_at: row.expiresAt?.toISOString() ?? null,
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
    created_at: row.createdAt.toISOString(),
  };
}

export const auditEntry = z
  .object({
    id,
    at: moment,
    actor_type: z.enum(['user', 'api_key', 'public', 'system']),
    actor_id: id.nullable(),
    api_key_id: id.nullable(),
    action: z.string(),
    entity_type: z.string(),
    entity_id: id.nullable(),
    old_values: z.unknown(),
    new_values: z.unknown(),
    request_id: z.string().nullable(),
  })
  .openapi('AuditEntry');

export function showAuditEntry(row: AuditEntry): z.input<typeof auditEntry> {
  return {
    id: row.id,
    at: row.at.toISOString(),
    actor_type: row.actorType,
    actor_id: row.actorId,
    api_key_id: row.apiKeyId,
    action: row.action,
    entity_type: row.entityType,
    entity_id: row.entityId,
    old_values: row.oldValues,
    new_values: row.newValues,
    request_id: row.requestId,
  };
}

export const alert = z
  .object({
    id,
    kind: z.string(),
    cause: z.string(),
    severity: z.enum(['info', 'warning', 'critical']),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    occurrences: z.number().int(),
    opened_at: moment,
    last_seen_at: moment,
    acknowledged_at: moment.nullable(),
    acknowledged_by: id.nullable(),
    resolved_at: moment.nullable(),
  })
  .openapi('Alert');

export function showAlert(row: Alert): z.input<typeof alert> {
  return {
    id: row.id,
    kind: row.kind,
    cause: row.cause,
    severity: row.severity,
    message: row.message,
    details: row.details,
    occurrences: row.occurrences,
    opened_at: row.openedAt.toISOString(),
    last_seen_at: row.lastSeenAt.toISOString(),
    acknowledged_at: row.acknowledgedAt?.toISOString() ?? null,
    acknowledged_by: row.acknowledgedBy,
    resolved_at: row.resolvedAt?.toISOString() ?? null,
  };
}
