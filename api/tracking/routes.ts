import { type AnyRoute, defineRoute, type PublicContext, type RouteAnswer } from '../http/route';
import { z } from '../http/schemas';

/**
 * server.ts gives these paths to `Tracking` before Express sees them; here they are declared for the OpenAPI document,
 * and served all the same where the application stands alone.
 */
async function delegate({ deps, raw }: PublicContext): Promise<RouteAnswer> {
  deps.tracking.handle(raw.request, raw.response);
  return { status: 200, handled: true };
}

export const trackingRoutes: AnyRoute[] = [
  defineRoute({
    operationId: 'trackOpen',
    method: 'get',
    path: '/t/p/{pixel_id}.gif',
    tag: 'Public',
    summary: 'The tracking pixel of a message: a transparent GIF; the open is recorded in the background',
    access: 'public',
    params: z.object({ pixel_id: z.string() }),
    responses: {
      200: { description: 'GIF of 1×1', contentType: 'image/gif' },
      404: {
        description: 'No pixel of ours; the same GIF, so that a mail shows no broken image',
        contentType: 'image/gif',
      },
    },
    handle: delegate,
  }),
  defineRoute({
    operationId: 'trackClick',
    method: 'get',
    path: '/t/c/{click_token}',
    tag: 'Public',
    summary: 'A link of a message: redirects to the original URL once the click is durable',
    description: 'The token is `{message token}.{link number}`. With Postgres away, clicks wait on disk.',
    access: 'public',
    params: z.object({ click_token: z.string() }),
    responses: {
      302: { description: 'To the original URL' },
      404: { description: 'A link that was cut off: a page that says so', contentType: 'text/html' },
      503: { description: 'Where the link leads cannot be looked up now', contentType: 'text/html' },
    },
    handle: delegate,
  }),
];
