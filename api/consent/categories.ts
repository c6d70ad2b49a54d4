import { insertCategory, listCategories } from '../../db/consent';
import { defineRoute } from '../http/route';
import { cutPage, decodeCursor, pageQuery } from '../http/schemas';
import { category, categoryPage, newCategory, showCategory } from './schemas';

const BASE = '/workspaces/{ws}/preference-categories';
const TAG = 'Consent';

export const categoryRoutes = [
  defineRoute({
    operationId: 'listPreferenceCategories',
    method: 'get',
    path: BASE,
    tag: TAG,
    summary: 'List what messages can be about',
    access: 'workspace',
    permission: 'consent:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of categories', schema: categoryPage } },
    async handle(context, { query }) {
      const after = decodeCursor(query.cursor, 1)?.[0] ?? null;
      const rows = await listCategories(context.tx, context.workspaceId, { after, limit: query.limit });
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showCategory) };
    },
  }),
  defineRoute({
    operationId: 'createPreferenceCategory',
    method: 'post',
    path: BASE,
    tag: TAG,
    summary: 'Create a category that contacts can leave',
    access: 'workspace',
    permission: 'consent:write',
    body: newCategory,
    idempotent: true,
    responses: { 201: { description: 'The category', schema: category } },
    async handle(context, { body }) {
      const row = await insertCategory(context.tx, context.workspaceId, body);
      await context.audit({
        action: 'preference_category.create',
        entityType: 'preference_category',
        entityId: row.id,
        new: body,
      });
      return { status: 201, body: showCategory(row) };
    },
  }),
];
