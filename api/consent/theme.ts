import { findPageTheme, type StoredTheme, savePageTheme } from '../../db/consent';
import { Problem } from '../http/problem';
import { defineRoute } from '../http/route';
import { plainText, z } from '../http/schemas';

const PATH = '/workspaces/{ws}/page-theme';
const TAG = 'Workspace';

const webAddress = z.url({ protocol: /^https?$/ }).max(2_000);
const accent = z
  .string()
  .regex(/^#[0-9a-fA-F]{6}$/, 'must be a colour such as "#1d4ed8"')
  .openapi({ description: 'Made darker or lighter where text in it would not be readable (WCAG AA).' });

const themeBody = z.strictObject({
  accent_color: accent,
  corners: z.enum(['ROUNDED', 'SQUARE']).default('ROUNDED'),
  footer: plainText(500).default('').openapi({ description: 'For example who you are and where.' }),
  privacy_url: webAddress.nullable().default(null),
  imprint_url: webAddress.nullable().default(null),
});
const theme = z
  .object({
    accent_color: z.string(),
    corners: z.enum(['ROUNDED', 'SQUARE']),
    footer: z.string(),
    privacy_url: z.string().nullable(),
    imprint_url: z.string().nullable(),
    version: z.number().int().openapi({ description: '0: the look is the one every workspace begins with.' }),
  })
  .openapi('PageTheme');

const DEFAULT: StoredTheme = {
  accentColor: '1d4ed8',
  corners: 'ROUNDED',
  footer: '',
  privacyUrl: null,
  imprintUrl: null,
  version: 0,
};

function show(stored: StoredTheme): z.output<typeof theme> {
  return {
    accent_color: `#${stored.accentColor}`,
    corners: stored.corners,
    footer: stored.footer,
    privacy_url: stored.privacyUrl,
    imprint_url: stored.imprintUrl,
    version: stored.version,
  };
}

export const themeRoutes = [
  defineRoute({
    operationId: 'getPageTheme',
    method: 'get',
    path: PATH,
    tag: TAG,
    summary: 'How the public pages look',
    access: 'workspace',
    permission: 'workspace:read',
    responses: { 200: { description: 'The theme', schema: theme } },
    async handle({ tx, workspaceId }) {
      const stored = (await findPageTheme(tx, workspaceId)) ?? DEFAULT;
      return { status: 200, body: show(stored), version: stored.version };
    },
  }),
  defineRoute({
    operationId: 'setPageTheme',
    method: 'put',
    path: PATH,
    tag: TAG,
    summary: 'Change how the public pages look',
    description: 'Confirmation, unsubscribe and preference pages of this workspace.',
    access: 'workspace',
    permission: 'workspace:write',
    body: themeBody,
    responses: { 200: { description: 'The theme', schema: theme } },
    async handle(context, { body, ifMatch }) {
      const { tx, workspaceId } = context;
      const before = await findPageTheme(tx, workspaceId);
      if (ifMatch !== null && ifMatch !== (before?.version ?? 0)) {
        throw new Problem('version-mismatch', `The theme is at version ${before?.version ?? 0}. Read it again.`);
      }
      const after = await savePageTheme(tx, workspaceId, {
        accentColor: body.accent_color.slice(1).toLowerCase(),
        corners: body.corners,
        footer: body.footer,
        privacyUrl: body.privacy_url,
        imprintUrl: body.imprint_url,
      });
      await context.audit({
        action: 'page_theme.update',
        entityType: 'workspace',
        entityId: workspaceId,
        old: before && show(before),
        new: show(after),
      });
      return { status: 200, body: show(after), version: after.version };
    },
  }),
];
