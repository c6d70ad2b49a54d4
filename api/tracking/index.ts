import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judgeActor, type MessageReference, openMessageToken } from '../../domain/tracking';
import { uuidv7 } from '../../platform/ids';
import type { ApiDependencies } from '../dependencies';
import { ClickSpool, type SpooledEngagement } from './click-spool';
import { EngagementRecorder } from './engagement-recorder';
import { LinkTables } from './link-tables';

/** A transparent GIF of 1×1. */
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const PIXEL_PATH = /^\/t\/p\/([A-Za-z0-9_-]{103})\.gif$/;
const CLICK_PATH = /^\/t\/c\/([A-Za-z0-9_-]{103})\.(0|[1-9]\d{0,3})$/;

const HEADERS = {
  'Cache-Control': 'no-store, no-cache, private, max-age=0',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Robots-Tag': 'noindex, nofollow',
} as const;

const NOT_FOUND_PAGE =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>This link does not work</title>' +
  '<h1>This link does not work</h1><p>It may have been cut off by a mail program. Please copy all of it.</p></html>';
const LATER_PAGE =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Please try again</title>' +
  '<h1>Please try again in a moment</h1><p>The link is right, but where it leads cannot be looked up just now.</p></html>';

/** Pixels and click links: what answers below /t/. */
export interface Tracking {
  /**
   * Answers requests below /t/; false for all others. Stands ahead of Express: a click costs a token, a row and a
   * redirect, and the framework would cost more than those.
   */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** Makes everything durable; call it once no request is being answered any more. */
  close(): Promise<void>;
}

type TrackingDependencies = Pick<ApiDependencies, 'config' | 'log' | 'db' | 'keyring' | 'addressHasher'>;

/** Where this installation's clicks wait; installations on one machine must not replay each other's. */
export function clickSpoolDirectory(deps: Pick<ApiDependencies, 'config' | 'addressHasher'>): string {
  const installation = deps.addressHasher.hash('click-spool').toString('hex').slice(0, 16);
  return join(deps.config.CLICK_SPOOL_DIRECTORY ?? join(tmpdir(), 'sally-clicks'), installation);
}

/** @param options.adoptAfterMs see ClickSpool */
export function createTracking(deps: TrackingDependencies, options: { adoptAfterMs?: number } = {}): Tracking {
  const tables = new LinkTables(deps.db);
  const spool = new ClickSpool(clickSpoolDirectory(deps), options.adoptAfterMs);
  const recorder = new EngagementRecorder(deps.db, spool, tables, deps.log);

  async function pixel(request: IncomingMessage, response: ServerResponse, token: string): Promise<void> {
    const reference = openMessageToken(deps.keyring, 'message-tracking', token);
    answer(response, reference ? 200 : 404, { 'Content-Type': 'image/gif' }, isHead(request) ? null : PIXEL);
    if (!reference || isHead(request)) return;
    // In the background: nobody waits for a picture. Without Postgres the workspace is looked up by the replay.
    const table = await tables.find(reference.messageId).catch(() => undefined);
    if (table === null) return;
    await recorder.record(engagement(request, reference, 'OPEN', null, table?.workspaceId ?? null));
  }

  async function click(request: IncomingMessage, response: ServerResponse, token: string, link: number): Promise<void> {
    const reference = openMessageToken(deps.keyring, 'message-tracking', token);
    if (!reference) return notFound(response);
    const table = tables.known(reference.messageId) ?? (await tables.find(reference.messageId));
    const location = table?.locations[link];
    if (!table || !location) return notFound(response);
    if (!isHead(request)) {
      await recorder.record(engagement(request, reference, 'CLICK', link, table.workspaceId));
    }
    answer(response, 302, { Location: location }, null);
  }

  return {
    handle(request, response) {
      const url = request.url ?? '';
      if (!url.startsWith('/t/')) return false;
      // Mail programs and shops append parameters of their own ("?utm_source=…").
      const path = url.split('?', 1)[0] ?? '';
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        answer(response, 405, { Allow: 'GET, HEAD' }, null);
        return true;
      }
      const pixelToken = PIXEL_PATH.exec(path)?.[1];
      const clickToken = pixelToken === undefined ? CLICK_PATH.exec(path) : null;
      const work =
        pixelToken !== undefined
          ? pixel(request, response, pixelToken)
          : clickToken?.[1] !== undefined
            ? click(request, response, clickToken[1], Number(clickToken[2]))
            : Promise.resolve(path.startsWith('/t/p/') ? wrongPixel(response) : notFound(response));
      work.catch((error: unknown) => {
        deps.log.warn({ err: error }, 'an engagement could not be taken');
        if (!response.headersSent) {
          answer(response, 503, { 'Retry-After': '2', 'Content-Type': 'text/html; charset=utf-8' }, LATER_PAGE);
        }
      });
      return true;
    },
    close: () => recorder.close(),
  };
}

function engagement(
  request: IncomingMessage,
  reference: MessageReference,
  kind: SpooledEngagement['kind'],
  linkPosition: number | null,
  workspaceId: string | null,
): SpooledEngagement {
  const { headers } = request;
  const purpose = headers['sec-purpose'] ?? headers.purpose ?? headers['x-moz'];
  const { messageId, sourceId, deliveryId } = reference;
  const now = new Date();
  return {
    id: uuidv7(now.getTime()),
    workspaceId,
    messageId,
    sourceId,
    deliveryId,
    kind,
    linkPosition,
    actor: judgeActor({
      userAgent: headers['user-agent'],
      purpose: typeof purpose === 'string' ? purpose : undefined,
    }),
    occurredAt: now,
  };
}

function isHead(request: IncomingMessage): boolean {
  return request.method === 'HEAD';
}

function notFound(response: ServerResponse): void {
  answer(response, 404, { 'Content-Type': 'text/html; charset=utf-8' }, NOT_FOUND_PAGE);
}

function wrongPixel(response: ServerResponse): void {
  answer(response, 404, { 'Content-Type': 'image/gif' }, PIXEL);
}

function answer(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Buffer | string | null,
): void {
  const length = body === null ? 0 : Buffer.byteLength(body);
  response.writeHead(status, { ...HEADERS, ...headers, 'Content-Length': length });
  response.end(body ?? undefined);
}
