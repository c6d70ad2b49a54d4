import { insertCategory, listCategories, lockCategory, updateCategory } from '../../db/consent';
import { notFound, Problem } from '../http/problem';
import { defineRoute } from '../http/route';
import { cutPage, decodeCursor, pageQuery } from '../http/schemas';
import { category, categoryChange, categoryPage, categoryParams, newCategory, showCategory } from './schemas';

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
  defineRoute({
    operationId: 'updatePreferenceCategory',
    method: 'patch',
    path: `${BASE}/{category_id}`,
    tag: TAG,
    summary: 'Change what people see of a category',
    description: 'What contacts chose stays. `translations` replaces all of them.',
    access: 'workspace',
    permission: 'consent:write',
    params: categoryParams,
    body: categoryChange,
    responses: { 200: { description: 'The category', schema: category } },
    async handle(context, { params, body, ifMatch }) {
      const { tx, workspaceId } = context;
      const before = await lockCategory(tx, workspaceId, params.category_id);
      if (!before) throw notFound('preference category');
      if (ifMatch !== null && ifMatch !== before.version) {
        throw new Problem('version-mismatch', `The category is at version ${before.version}. Read it again.`);
      }
      const row = await updateCategory(tx, workspaceId, before.id, {
        name: body.name ?? before.name,
        description: body.description ?? before.description,
        translations: body.translations ?? before.translations,
      });
      await context.audit({
        action: 'preference_category.update',
        entityType: 'preference_category',
        entityId: row.id,
        old: { name: before.name, description: before.description, translations: before.translations },
        new: { name: row.name, description: row.description, translations: row.translations },
      });
      return { status: 200, body: showCategory(row), version: row.version };
    },
  }),
];
