import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import { uuidv7 } from '../../platform/ids';
import type { ApiDependencies } from '../dependencies';
import { measure, traced } from './observe';
import { Problem } from './problem';
import type { AnyRoute } from './route';
import { runRoute, toProblem } from './run-route';

const DEFAULT_BODY_LIMIT = 256 * 1024;

/** Express paths: {contact_id} → :contact_id. */
function expressPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

/** Refuses other content types than the route takes, then reads the body within its limit. */
function bodyReaders(route: AnyRoute) {
  const accepts = route.accepts ?? { types: ['application/json'], mode: 'json' as const };
  if (accepts.mode === 'stream') return [requireType(accepts.types)];
  if (!route.body) return [];
  const limit = route.bodyLimit ?? DEFAULT_BODY_LIMIT;
  return accepts.mode === 'form'
    ? [requireType(accepts.types), express.urlencoded({ extended: false, limit, type: accepts.types })]
    : [requireType(accepts.types), express.json({ limit, strict: false, type: accepts.types }), refuseDeepJson];
}

/** Deeper than any request needs, and far from the depth at which JSON.stringify overflows the stack. */
const MAX_JSON_DEPTH = 64;

function refuseDeepJson(request: Request, _response: Response, next: NextFunction): void {
  let level: unknown[] = [request.body];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_JSON_DEPTH) {
      const detail = `The JSON is nested deeper than ${MAX_JSON_DEPTH} levels.`;
      next(new Problem('validation-failed', detail, { errors: [{ pointer: '/body', detail }] }));
      return;
    }
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  next();
}

function requireType(types: string[]) {
  return (request: Request, _response: Response, next: NextFunction): void => {
    const length = request.headers['content-length'];
    const empty = request.headers['transfer-encoding'] === undefined && (length === undefined || length === '0');
    if (empty || request.is(types)) {
      next();
      return;
    }
    next(
      new Problem('unsupported-media-type', `Send the body as ${types.join(' or ')}.`, {
        headers: { Accept: types.join(', ') },
      }),
    );
  };
}

/** Errors of Express's own router and body readers. */
function requestProblem(error: unknown): Problem | null {
  if (error instanceof URIError) return new Problem('not-found', 'The path is not correctly percent-encoded.');
  if (typeof error !== 'object' || error === null || !('type' in error)) return null;
  switch (error.type) {
    case 'entity.too.large':
    case 'parameters.too.many':
      return new Problem('body-too-large', 'The body is larger than this operation accepts.');
    case 'entity.parse.failed':
      return new Problem('malformed-body', 'The body is not valid JSON.', {
        errors: [{ pointer: '/body', detail: 'not valid JSON' }],
      });
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new Problem('unsupported-media-type', 'The body must be UTF-8, unencoded or gzip.');
    case 'request.aborted':
    case 'request.size.invalid':
      return new Problem('malformed-body', 'The body ended before its announced length.');
    default:
      return null;
  }
}

/**
 * The HTTP application made from route definitions. `pages` mounts what is no operation (probes, documents) ahead of
 * the routes, with their headers.
 */
export function createApplication(deps: ApiDependencies, routes: AnyRoute[], pages?: (app: Express) => void): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('trust proxy', deps.config.TRUST_PROXY);
  app.set('query parser', 'simple');
  app.use(
    helmet({
      contentSecurityPolicy: {
        directives: {
          'default-src': ["'none'"],
          'style-src': ["'self'"],
          'script-src': ["'self'"],
          'img-src': ["'self'"],
          'connect-src': ["'self'"],
          'form-action': ["'self'"],
          'frame-ancestors': ["'none'"],
          'base-uri': ["'none'"],
        },
        useDefaults: false,
      },
      crossOriginResourcePolicy: { policy: 'cross-origin' },
      referrerPolicy: { policy: 'no-referrer' },
    }),
  );
  app.use((_request, response, next) => {
    response.setHeader('X-Request-Id', uuidv7());
    response.setHeader('Cache-Control', 'no-store');
    next();
  });
  pages?.(app);

  const methodsByPath = new Map<string, Set<string>>();
  for (const route of routes) {
    const path = expressPath(route.path);
    const handle = (request: Request, response: Response, next: NextFunction): void => {
      traced(route, request, response, () => runRoute(deps, route, request, response)).catch(next);
    };
    app[route.method](path, measure(route), ...bodyReaders(route), handle);
    methodsByPath.set(path, (methodsByPath.get(path) ?? new Set()).add(route.method.toUpperCase()));
  }
  for (const [path, methods] of methodsByPath) {
    app.all(path, (_request, _response, next) => {
      const allow = [...methods].join(', ');
      next(new Problem('method-not-allowed', `Allowed here: ${allow}.`, { headers: { Allow: allow } }));
    });
  }
  app.use((_request, _response, next) =>
    next(new Problem('not-found', 'No operation exists under this path. See /docs.')),
  );

  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const problem = requestProblem(error) ?? toProblem(error);
    const requestId = response.getHeader('X-Request-Id');
    if (problem.status >= 500) deps.log.error({ requestId, err: error }, 'request failed');
    if (response.headersSent) {
      response.destroy();
      return;
    }
    for (const [name, value] of Object.entries(problem.options.headers ?? {})) response.setHeader(name, value);
    response
      .status(problem.status)
      .type('application/problem+json')
      .send(JSON.stringify(problem.toDocument(`urn:uuid:${String(requestId)}`)));
  });
  return app;
}
