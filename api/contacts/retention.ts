import { type RetentionPeriods, retentionPeriods, setRetentionDays } from '../../db/contacts/retention';
import { RETENTION_DEFAULTS, RETENTION_KINDS } from '../../domain/contacts/retention';
import { type AnyRoute, defineRoute } from '../http/route';
import { z } from '../http/schemas';

const PATH = '/workspaces/{ws}/retention';
const TAG = 'Data rights';

const days = z.number().int().min(1).max(36_500).nullable();
const retention = z
  .object({
    items: z.array(
      z.object({
        kind: z.enum(RETENTION_KINDS),
        days: days.openapi({ description: 'Null: kept for ever.' }),
        default_days: days,
      }),
    ),
  })
  .openapi('Retention');

function show(periods: RetentionPeriods): z.input<typeof retention> {
  return {
    items: RETENTION_KINDS.map((kind) => ({ kind, days: periods[kind], default_days: RETENTION_DEFAULTS[kind] })),
  };
}

/** Operations about how long data are kept. */
export const retentionRoutes: AnyRoute[] = [
  defineRoute({
    operationId: 'getRetention',
    method: 'get',
    path: PATH,
    tag: TAG,
    summary: 'Reads how many days each kind of data is kept',
    access: 'workspace',
    permission: 'workspace:read',
    responses: { 200: { description: 'The periods', schema: retention } },
    async handle({ tx, workspaceId }) {
      return { status: 200, body: show(await retentionPeriods(tx, workspaceId)) };
    },
  }),
  defineRoute({
    operationId: 'updateRetention',
    method: 'patch',
    path: PATH,
    tag: TAG,
    summary: 'Changes how many days kinds of data are kept',
    description: 'Only kinds that are given change. Enforced once a day; a file that is complete keeps its own time.',
    access: 'workspace',
    permission: 'workspace:write',
    body: z.strictObject({ days: z.partialRecord(z.enum(RETENTION_KINDS), days) }),
    responses: { 200: { description: 'The periods', schema: retention } },
    async handle(context, { body }) {
      const { tx, workspaceId } = context;
      const before = await retentionPeriods(tx, workspaceId);
      for (const kind of RETENTION_KINDS) {
        const asked = body.days[kind];
        if (asked !== undefined) await setRetentionDays(tx, workspaceId, kind, asked);
      }
      const after = await retentionPeriods(tx, workspaceId);
      await context.audit({
        action: 'retention.update',
        entityType: 'workspace',
        entityId: workspaceId,
        old: before,
        new: after,
      });
      return { status: 200, body: show(after) };
    },
  }),
];
