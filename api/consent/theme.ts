import { createHash } from 'node:crypto';
import { findPageTheme, removePageLogo, type StoredTheme, savePageLogo, savePageTheme } from '../../db/consent';
import { DEFAULT_LOOK, LOGO_LIMITS, type PageLogo, readLogo } from '../../domain/consent';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
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
const logoBody = z.strictObject({
  alt: plainText(100)
    .regex(/\S/, 'must say something')
    .openapi({ description: 'What the picture says, for who cannot see it: mostly your name.' }),
  png: z
    .base64()
    .max(Math.ceil(LOGO_LIMITS.bytes / 3) * 4)
    .openapi({
      description: `A still PNG image in base64, at most ${LOGO_LIMITS.bytes} bytes, ${LOGO_LIMITS.width} pixels wide and ${LOGO_LIMITS.height} high. What does not belong to the picture (texts, EXIF) is removed.`,
    }),
});
const logo = z
  .object({
    url: z.string().openapi({ description: 'Changes with the picture.' }),
    alt: z.string(),
    width: z.number().int(),
    height: z.number().int(),
    sha256: z.string().openapi({ description: 'Of the PNG as it is kept.' }),
  })
  .openapi('PageLogo');
const theme = z
  .object({
    accent_color: z.string(),
    corners: z.enum(['ROUNDED', 'SQUARE']),
    footer: z.string(),
    privacy_url: z.string().nullable(),
    imprint_url: z.string().nullable(),
    logo: logo.nullable(),
    version: z.number().int().openapi({ description: '0: the look is the one every workspace begins with.' }),
  })
  .openapi('PageTheme');

const DEFAULT: StoredTheme = { ...DEFAULT_LOOK, logo: null, version: 0 };

function show({ deps }: WorkspaceContext, stored: StoredTheme): z.output<typeof theme> {
  return {
    accent_color: `#${stored.accentColor}`,
    corners: stored.corners,
    footer: stored.footer,
    privacy_url: stored.privacyUrl,
    imprint_url: stored.imprintUrl,
    logo: stored.logo && showLogo(deps.config.PUBLIC_URL, stored.logo),
    version: stored.version,
  };
}

function showLogo(publicUrl: string, { path, sha256, alt, width, height }: PageLogo): z.output<typeof logo> {
  return { url: new URL(path, publicUrl).href, alt, width, height, sha256 };
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
    async handle(context) {
      const stored = (await findPageTheme(context.tx, context.workspaceId)) ?? DEFAULT;
      return { status: 200, body: show(context, stored), version: stored.version };
    },
  }),
  defineRoute({
    operationId: 'setPageTheme',
    method: 'put',
    path: PATH,
    tag: TAG,
    summary: 'Change how the public pages look',
    description: 'Confirmation, unsubscribe, preference and gate pages of this workspace. The logo stays as it is.',
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
      const look = {
        accentColor: body.accent_color.slice(1).toLowerCase(),
        corners: body.corners,
        footer: body.footer,
        privacyUrl: body.privacy_url,
        imprintUrl: body.imprint_url,
      };
      const version = await savePageTheme(tx, workspaceId, look);
      const after = { ...look, logo: before?.logo ?? null, version };
      await context.audit({
        action: 'page_theme.update',
        entityType: 'workspace',
        entityId: workspaceId,
        old: before && show(context, before),
        new: show(context, after),
      });
      return { status: 200, body: show(context, after), version };
    },
  }),
  defineRoute({
    operationId: 'setPageLogo',
    method: 'put',
    path: `${PATH}/logo`,
    tag: TAG,
    summary: 'Set the logo of the public pages',
    description:
      'Sally keeps the picture and serves it itself: the pages load nothing from elsewhere. Where a page is dark, the logo stands on white.',
    access: 'workspace',
    permission: 'workspace:write',
    body: logoBody,
    responses: { 200: { description: 'The theme with its logo', schema: theme } },
    async handle(context, { body }) {
      const { tx, workspaceId } = context;
      const read = readLogo(Buffer.from(body.png, 'base64'));
      if (!read.ok) throw invalidField('png', read.message);
      const before = await findPageTheme(tx, workspaceId);
      const sha256 = createHash('sha256').update(read.png).digest('hex');
      await savePageLogo(tx, workspaceId, { ...read, sha256, alt: body.alt });
      const after = (await findPageTheme(tx, workspaceId)) ?? DEFAULT;
      await context.audit({
        action: 'page_logo.update',
        entityType: 'workspace',
        entityId: workspaceId,
        old: before?.logo && show(context, before).logo,
        new: show(context, after).logo,
      });
      return { status: 200, body: show(context, after), version: after.version };
    },
  }),
  defineRoute({
    operationId: 'removePageLogo',
    method: 'delete',
    path: `${PATH}/logo`,
    tag: TAG,
    summary: 'Remove the logo of the public pages',
    access: 'workspace',
    permission: 'workspace:write',
    responses: { 204: { description: 'Removed' } },
    async handle(context) {
      const { tx, workspaceId } = context;
      const before = await findPageTheme(tx, workspaceId);
      if (!before?.logo) throw notFound('logo');
      await removePageLogo(tx, workspaceId);
      await context.audit({
        action: 'page_logo.remove',
        entityType: 'workspace',
        entityId: workspaceId,
        old: show(context, before).logo,
      });
      return { status: 204 };
    },
  }),
];
