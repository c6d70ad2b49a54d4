import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import { ZodObject, type ZodType } from 'zod';
import type { AnyRoute, ResponseDefinition } from './route';
import { id, problemDocument, z } from './schemas';

/** Statuses that any operation of this kind can answer with, besides its own. */
function commonStatuses(route: AnyRoute): number[] {
  const statuses = [429, 500, 503];
  if (route.access !== 'public') statuses.push(401);
  if (route.access === 'workspace') statuses.push(403, 404);
  if (route.params) statuses.push(404);
  if (route.body) statuses.push(400, 413, 415, 422);
  if (route.query || route.access === 'workspace') statuses.push(422);
  if (route.method !== 'get' && route.access === 'workspace') statuses.push(409);
  return statuses;
}

/** A request schema of an object; anything else is a mistake in the route. */
function objectSchema(route: AnyRoute, schema: ZodType | undefined): ZodObject | undefined {
  if (schema === undefined || schema instanceof ZodObject) return schema;
  throw new Error(`${route.operationId}: params and query must be object schemas`);
}

/** What an answer holds: an error always a problem, anything else nothing unless the route says so. */
function contentOf(status: number, { schema, contentType }: ResponseDefinition) {
  const isProblem = status >= 400;
  if (!schema && !contentType && !isProblem) return {};
  const type = contentType ?? (isProblem ? 'application/problem+json' : 'application/json');
  return { content: { [type]: { schema: schema ?? (isProblem ? problemDocument : z.string()) } } };
}

/** The OpenAPI 3.1 document of all routes. */
export function openApiDocument(
  routes: AnyRoute[],
  publicUrl: string,
): ReturnType<OpenApiGeneratorV31['generateDocument']> {
  const registry = new OpenAPIRegistry();
  registry.register('Problem', problemDocument);
  registry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key (sally_…) or a session token from POST /auth/sessions.',
  });
  for (const route of routes.filter((candidate) => !candidate.hidden)) {
    const params = objectSchema(route, route.params);
    const withWorkspace =
      route.path.includes('{ws}') && !params?.shape.ws
        ? (params ?? z.object({})).extend({ ws: route.access === 'workspace' ? id : z.string() })
        : params;
    const headers: Record<string, ZodType> = {};
    if (route.idempotent) headers['Idempotency-Key'] = z.string().max(255).optional();
    const types = route.accepts?.types ?? ['application/json'];
    const content = route.accepts?.mode === 'stream' ? z.string().openapi({ format: 'binary' }) : route.body;
    registry.registerPath({
      operationId: route.operationId,
      method: route.method,
      path: route.path,
      tags: [route.tag],
      summary: route.summary,
      description: [route.description, route.permission ? `Permission: \`${route.permission}\`.` : undefined]
        .filter(Boolean)
        .join('\n\n'),
      security: route.access === 'public' ? [] : [{ bearer: [] }],
      request: {
        ...(withWorkspace ? { params: withWorkspace } : {}),
        ...(route.query ? { query: objectSchema(route, route.query) } : {}),
        ...(Object.keys(headers).length > 0 ? { headers: z.object(headers) } : {}),
        ...(content
          ? {
              body: {
                required: true,
                content: Object.fromEntries(types.map((type: string) => [type, { schema: content }])),
              },
            }
          : {}),
      },
      responses: {
        ...Object.fromEntries(
          commonStatuses(route).map((status) => [
            status,
            { description: 'Problem', content: { 'application/problem+json': { schema: problemDocument } } },
          ]),
        ),
        ...Object.fromEntries(
          Object.entries(route.responses as AnyRoute['responses']).map(([status, response]) => [
            status,
            { description: response.description, ...contentOf(Number(status), response) },
          ]),
        ),
      },
    });
  }
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Sally',
      version: '0.1.0',
      description: 'Self-hosted e-mail marketing: never the wrong person, never twice, never silently.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: publicUrl }],
  });
}
