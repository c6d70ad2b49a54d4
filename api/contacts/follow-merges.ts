import { findMergedInto } from '../../db/contacts';
import type { Queryable } from '../../platform/postgres';
import { Problem } from '../http/problem';
import type { AnyRoute, RouteAnswer, WorkspaceContext } from '../http/route';
import { id, z } from '../http/schemas';

const merged = z
  .object({ merged_into: id.openapi({ description: 'The contact that the person is known by now.' }) })
  .openapi('MergedContact');

/**
 * Every operation below /contacts/{contact_id} answers 308 under the id of a contact that was merged into another one,
 * for good: what would be a 404 leads to the survivor.
 */
export function followMerges(route: AnyRoute): AnyRoute {
  if (route.access !== 'workspace' || !route.path.includes('/contacts/{contact_id}')) return route;
  const handle: AnyRoute['handle'] = async (context: WorkspaceContext, input) => {
    try {
      return await route.handle(context, input);
    } catch (error) {
      if (!(error instanceof Problem) || error.type !== 'not-found') throw error;
      const answer = await redirect(context, route, String(input.params.contact_id));
      if (answer === null) throw error;
      return answer;
    }
  };
  const description = 'The contact was merged; the same request belongs to its survivor';
  return { ...route, handle, responses: { ...route.responses, 308: { description, schema: merged } } };
}

async function redirect(context: WorkspaceContext, route: AnyRoute, contactId: string): Promise<RouteAnswer | null> {
  const { workspaceId, deps, raw } = context;
  const look = (tx: Queryable) => findMergedInto(tx, workspaceId, contactId);
  const survivor =
    route.transaction === false ? await deps.db.workspaceTransaction(workspaceId, look) : await look(context.tx);
  if (survivor === null) return null;
  const Location = raw.request.originalUrl.replace(/\/contacts\/[0-9a-f-]{36}/i, `/contacts/${survivor}`);
  return { status: 308, headers: { Location }, body: { merged_into: survivor } };
}
