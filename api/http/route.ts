import type { Request, Response } from 'express';
import type { PoolClient } from 'pg';
import type { ZodType, z } from 'zod';
import type { Permission, Role } from '../../domain/workspace/permissions';
import type { Logger } from '../../platform/log';
import type { ApiDependencies } from '../dependencies';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** Who acts: a person with a session, or a key that belongs to a person. */
export interface Actor {
  userId: string;
  role: Role;
  apiKeyId: string | null;
  /** The key's scopes; null for a session. */
  scopes: readonly string[] | null;
}

export interface AuditEntry {
  /** "campaign.pause": entity and verb. */
  action: string;
  entityType: string;
  entityId: string | null;
  old?: unknown;
  new?: unknown;
}

interface BaseContext {
  deps: ApiDependencies;
  log: Logger;
  requestId: string;
  /** Runs once the transaction is committed; a failure is logged and does not change the answer (watchdog catches up). */
  afterCommit(work: () => Promise<void>): void;
  raw: { request: Request; response: Response };
}

/** Context of a route below /workspaces/{ws}: one transaction, limited to that workspace. */
export interface WorkspaceContext extends BaseContext {
  workspaceId: string;
  actor: Actor;
  tx: PoolClient;
  /** Writes the audit row in this transaction. Every mutating route calls it. */
  audit(entry: AuditEntry): Promise<void>;
}

/** Context of a route for a signed-in person outside any workspace. */
export interface SessionContext extends BaseContext {
  userId: string;
  sessionEpoch: number;
}

/** Context of a public route; it opens its own transactions. */
export type PublicContext = BaseContext;

export interface ContextByAccess {
  workspace: WorkspaceContext;
  session: SessionContext;
  public: PublicContext;
}

export interface ResponseDefinition {
  description: string;
  schema?: ZodType;
  /** Other than application/json. */
  contentType?: string;
}

/** What a handler answers. `stream`/`text` for other content than JSON. */
export interface RouteAnswer {
  status: number;
  body?: unknown;
  text?: string;
  headers?: Record<string, string>;
  /** The entity's version: becomes the ETag. */
  version?: number;
  /** Written by the handler itself, for example a streamed file. */
  handled?: true;
}

export interface RouteInput<P extends ZodType, Q extends ZodType, B extends ZodType> {
  params: z.output<P>;
  query: z.output<Q>;
  body: z.output<B>;
  /** Version of If-Match, if sent. */
  ifMatch: number | null;
}

export interface RouteDefinition<
  A extends keyof ContextByAccess,
  P extends ZodType,
  Q extends ZodType,
  B extends ZodType,
> {
  operationId: string;
  method: Method;
  /** OpenAPI form: /workspaces/{ws}/contacts/{contact_id}. `{ws}` is the workspace. */
  path: string;
  tag: string;
  summary: string;
  description?: string;
  access: A;
  /** For access "workspace". */
  permission?: Permission;
  params?: P;
  query?: Q;
  body?: B;
  /** Content types accepted for `body`; default application/json. 'stream' leaves the body to the handler. */
  accepts?: { types: string[]; mode: 'json' | 'form' | 'stream' };
  /** Largest JSON body in bytes; default 256 KiB. */
  bodyLimit?: number;
  /** Accepts Idempotency-Key (RFC draft httpapi-idempotency-key-header): the same key gets the same answer. */
  idempotent?: boolean;
  /** False: the handler opens its own transactions through deps (streams). Default true for "workspace". */
  transaction?: boolean;
  /** True for a POST that changes nothing (a preview, a sign-in): it writes no audit row. */
  readOnly?: boolean;
  /** Leaves the route out of the OpenAPI document (HTML pages). */
  hidden?: boolean;
  responses: Record<number, ResponseDefinition>;
  handle(context: ContextByAccess[A], input: RouteInput<P, Q, B>): Promise<RouteAnswer>;
}

/** A route whose types have been checked; what the application and the OpenAPI document are made from. */
// biome-ignore lint/suspicious/noExplicitAny: the one place where routes of different types meet
export type AnyRoute = RouteDefinition<any, any, any, any>;

/** Declares a route. One definition gives validation, types, access control and the OpenAPI operation. */
export function defineRoute<
  A extends keyof ContextByAccess,
  P extends ZodType = ZodType<Record<string, never>>,
  Q extends ZodType = ZodType<Record<string, never>>,
  B extends ZodType = ZodType<undefined>,
>(route: RouteDefinition<A, P, Q, B>): AnyRoute {
  return route;
}
