import { openBreakers } from '../../db/delivery/breakers';
import { type AnyRoute, defineRoute } from '../http/route';
import { id, moment, z } from '../http/schemas';

const breaker = z
  .object({
    provider_id: z.uuid().openapi({ description: 'The nil UUID is the fallback sender of the installation.' }),
    from_email: z
      .string()
      .nullable()
      .openapi({ description: 'The From address that it holds back; null: not one of an address.' }),
    dedicated_ip_id: id.nullable().openapi({
      description:
        'The dedicated IP that it holds back, for what that has of its own: its log-in, its server, its pool. With ' +
        'neither, everything that uses what is the provider’s.',
    }),
    state: z.enum(['OPEN', 'HALF_OPEN']),
    reason: z.string().nullable(),
    failures: z.int().openapi({ description: 'Openings in a row; each doubles the wait for the next probe.' }),
    opened_at: moment.nullable(),
    probe_at: moment.nullable().openapi({ description: 'When the next single message may try.' }),
  })
  .openapi('Breaker');

const listBreakers = defineRoute({
  operationId: 'listBreakers',
  method: 'get',
  path: '/workspaces/{ws}/email-infrastructure/breakers',
  tag: 'Delivery',
  summary: 'Lists what is held back, and why',
  description:
    'Breakers that are not closed: of providers or dedicated IPs that cannot be used, and of From addresses whose ' +
    'recipients a provider refuses. `POST …/providers/{provider_id}/breaker/reset` closes a provider’s breaker and those ' +
    'of its senders and IPs.',
  access: 'workspace',
  permission: 'senders:read',
  responses: {
    200: { description: 'The breakers', schema: z.object({ breakers: z.array(breaker) }) },
  },
  async handle({ tx, workspaceId }) {
    const breakers = await openBreakers(tx, workspaceId);
    return {
      status: 200,
      body: {
        breakers: breakers.map((row) => ({
          provider_id: row.providerId,
          from_email: row.fromEmail,
          dedicated_ip_id: row.ipId,
          state: row.state === 'HALF_OPEN' ? ('HALF_OPEN' as const) : ('OPEN' as const),
          reason: row.reason,
          failures: row.failures,
          opened_at: row.openedAt?.toISOString() ?? null,
          probe_at: row.probeAt?.toISOString() ?? null,
        })),
      },
    };
  },
});

export const breakerRoutes: AnyRoute[] = [listBreakers];
