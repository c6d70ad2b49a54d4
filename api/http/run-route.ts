import type { Request, Response } from 'express';
import type { PoolClient } from 'pg';
import type { ZodError, ZodType } from 'zod';
import { writeAudit } from '../../db/workspace/audit';
import { mayDo } from '../../domain/workspace/permissions';
import { isUuid, uuidv7 } from '../../platform/ids';
import { sqlState } from '../../platform/postgres';
import type { ApiDependencies } from '../dependencies';
import { authenticateForWorkspace, authenticateSession } from './authenticate';
import { storeIdempotentAnswer, takeIdempotencyKey } from './idempotency';
import { notFound, Problem, type ProblemPlace } from './problem';
import type { Actor, AnyRoute, RouteAnswer, WorkspaceContext } from './route';

/** Problems of a zod error with their pointers; `part` is body, query or params. */
export function placesOf(part: string, error: ZodError): ProblemPlace[] {
  return error.issues.slice(0, 20).map((issue) => {
    const path = issue.path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
    const detail = issue.code === 'unrecognized_keys' ? `Unknown field: ${issue.keys.join(', ')}` : issue.message;
    return { pointer: `/${part}${path}`, detail };
  });
}

function parse(part: string, schema: ZodType | undefined, value: unknown): unknown {
  if (!schema) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = placesOf(part, parsed.error);
  // An id in the path that is no id names nothing.
  if (part === 'params') throw new Problem('not-found', 'Nothing exists under this path: an id in it is malformed.');
  throw new Problem('validation-failed', errors[0]?.detail ?? 'The request is not valid.', { errors });
}

function readIfMatch(request: Request): number | null {
  const header = request.headers['if-match'];
  if (header === undefined) return null;
  const match = /^(?:W\/)?"v(\d{1,9})"$/.exec(header.trim());
  if (!match) {
    const detail = 'If-Match must be an ETag that this API gave out, for example "v3".';
    throw new Problem('validation-failed', detail, { errors: [{ pointer: '/headers/if-match', detail }] });
  }
  return Number(match[1]);
}

function send(response: Response, answer: RouteAnswer): void {
  if (answer.handled) return;
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
  if (answer.version !== undefined) response.setHeader('ETag', `"v${answer.version}"`);
  response.status(answer.status);
  if (answer.text !== undefined) response.send(answer.text);
  else if (answer.body === undefined) response.end();
  else response.json(answer.body);
}

/** Runs one request through its route: who, what, one transaction, audit, answer, then what follows the commit. */
export async function runRoute(
  deps: ApiDependencies,
  route: AnyRoute,
  request: Request,
  response: Response,
): Promise<void> {
  const requestId = String(response.getHeader('X-Request-Id') ?? uuidv7());
  const log = deps.log.child({ requestId, operation: route.operationId });
  const followUps: (() => Promise<void>)[] = [];
  const base = {
    deps,
    log,
    requestId,
    afterCommit: (work: () => Promise<void>) => void followUps.push(work),
    raw: { request, response },
  };
  const { ws: workspaceParam, ...params } = request.params;
  let answer: RouteAnswer;

  // A public route names its workspace by slug or id and looks it up itself: `ws` is one of its parameters.
  const readInput = (values: Record<string, unknown> = params) => ({
    params: parse('params', route.params, values),
    query: route.query ? parse('query', route.query, request.query) : refuseQuery(request),
    body: route.accepts?.mode === 'stream' ? undefined : parse('body', route.body, request.body),
    ifMatch: readIfMatch(request),
  });

  if (route.access === 'workspace') {
    const workspaceId = String(workspaceParam).toLowerCase();
    if (!isUuid(workspaceId)) throw notFound('workspace');
    const actor = await authenticateForWorkspace(deps, request, workspaceId);
    if (!route.permission || !mayDo(actor.role, actor.scopes, route.permission)) {
      throw new Problem(
        'forbidden',
        `This needs the permission ${route.permission}; your role ${actor.role}${actor.scopes ? ' with the scopes of this key' : ''} does not have it.`,
        { members: { permission: route.permission } },
      );
    }
    const input = readInput();
    const contextFor = (tx: PoolClient): WorkspaceContext => ({
      ...base,
      workspaceId,
      actor,
      tx,
      audit: (entry) => writeAudit(tx, { workspaceId, actor: auditActor(actor), requestId, ...entry }),
    });
    if (route.transaction === false) {
      const refuse = new Proxy({} as PoolClient, {
        get() {
          throw new Error(`${route.operationId} opens its own transactions`);
        },
      });
      answer = await route.handle(contextFor(refuse), input);
    } else {
      answer = await deps.db.workspaceTransaction(workspaceId, (tx) =>
        withIdempotency(route, request, tx, workspaceId, () => route.handle(contextFor(tx), input)),
      );
    }
  } else if (route.access === 'session') {
    const session = await authenticateSession(deps, request);
    answer = await route.handle({ ...base, userId: session.userId, sessionEpoch: session.epoch }, readInput());
  } else {
    answer = await route.handle({ ...base }, readInput(request.params));
  }
  for (const work of followUps) {
    // Signals are hints: what is lost here is found by watchdog (design, section 3).
    await work().catch((error: unknown) => log.warn({ err: error }, 'follow-up of a committed request failed'));
  }
  send(response, answer);
}

function auditActor(actor: Actor) {
  return {
    type: actor.apiKeyId ? ('api_key' as const) : ('user' as const),
    userId: actor.userId,
    apiKeyId: actor.apiKeyId,
  };
}

function refuseQuery(request: Request): Record<string, never> {
  const [unknown] = Object.keys(request.query);
  if (unknown === undefined) return {};
  const detail = `Unknown query parameter: ${unknown}`;
  throw new Problem('validation-failed', detail, { errors: [{ pointer: '/query', detail }] });
}

async function withIdempotency(
  route: AnyRoute,
  request: Request,
  tx: PoolClient,
  workspaceId: string,
  handle: () => Promise<RouteAnswer>,
): Promise<RouteAnswer> {
  const key = request.headers['idempotency-key'];
  if (!route.idempotent || typeof key !== 'string' || key === '') return handle();
  const scope = { workspaceId, operation: route.operationId, key };
  const stored = await takeIdempotencyKey(tx, {
    ...scope,
    request: JSON.stringify([request.path, request.query, request.body ?? null]),
  });
  if (stored)
    return { status: stored.status, body: stored.body ?? undefined, headers: { 'Idempotent-Replayed': 'true' } };
  const answer = await handle();
  await storeIdempotentAnswer(tx, scope, { status: answer.status, body: answer.body });
  return answer;
}

/** Turns anything thrown below a route into a problem. Known database errors are the client's, the rest is ours. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  switch (sqlState(error)) {
    case '23505':
      return new Problem('conflict', 'Something with this name or key exists already in this workspace.');
    case '23503':
      return new Problem(
        'conflict',
        'Something that this refers to does not exist in this workspace, or still is referred to.',
      );
    case '22P05':
    case '22021':
      return new Problem('validation-failed', 'A text holds a character that cannot be stored (NUL or broken UTF-8).');
    case '22P02':
    case '22003':
    case '22007':
    case '22008':
    case '22009':
      return new Problem('validation-failed', 'A number, date or id is out of the range that can be stored.');
    case '40001':
    case '40P01':
    case '55P03':
      return new Problem('unavailable', 'Another change was in the way. Try again.', {
        headers: { 'Retry-After': '1' },
      });
    case '25P03':
    case '57P01':
    case '57P02':
    case '57P03':
    case '53300':
      return new Problem('unavailable', 'The database is not available at the moment. Try again.', {
        headers: { 'Retry-After': '2' },
      });
    default:
  }
  if (isConnectionLoss(error)) {
    return new Problem('unavailable', 'The database is not available at the moment. Try again.', {
      headers: { 'Retry-After': '2' },
    });
  }
  return new Problem(
    'internal-error',
    'The request failed unexpectedly. It was logged under the request id in X-Request-Id.',
  );
}

/** Whether an error of `pg` or its socket says that the server went away or cannot be reached. */
function isConnectionLoss(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('message' in error)) return false;
  const code = 'code' in error ? error.code : undefined;
  return (
    ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'].includes(String(code)) ||
    /Connection terminated|timeout exceeded when trying to connect/.test(String(error.message))
  );
}
