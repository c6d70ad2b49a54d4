import { isIP } from 'node:net';
import type { Request } from 'express';
import type { VisitorTrace } from '../../db/consent';
import { acceptedLanguage } from '../../domain/consent';
import { escapeHtml, page, pageSetting } from '../http/page';
import type { Problem } from '../http/problem';
import type { PublicContext, RouteAnswer } from '../http/route';

/** Where a visitor's statement came from, as far as it is known and storable. */
export function visitorOf(request: Pick<Request, 'ip' | 'headers'>): VisitorTrace {
  const address = (request.ip ?? '').replace(/^::ffff:(?=\d+\.)/i, '').split('%')[0] ?? '';
  const userAgent = request.headers['user-agent'];
  return {
    ipAddress: isIP(address) !== 0 ? address : null,
    userAgent: userAgent === undefined ? null : userAgent.slice(0, 500),
    language: acceptedLanguage(request.headers['accept-language']),
  };
}

/**
 * Starts or hints a workflow without letting the visitor wait: Temporal may be down, and whether something had to be
 * started must not show in the time of the answer. What is lost here, the watchdog finds.
 */
export function inBackground(context: PublicContext, requestId: string, work: Promise<unknown>): void {
  work.catch((error: unknown) => {
    context.log.warn({ err: error, optInRequestId: requestId }, 'doubleOptIn not reached; the watchdog will');
  });
}

/** A limit that was reached, as a page. */
export function tooMany(context: PublicContext, problem: Problem): RouteAnswer {
  const setting = pageSetting(context.raw.request);
  const wait = problem.options.headers?.['Retry-After'] ?? '60';
  const answer = page(setting, problem.status, {
    title: setting.texts.tooManyTitle,
    content: `<p>${escapeHtml(setting.texts.tooMany(wait))}</p>`,
  });
  return { ...answer, headers: { ...answer.headers, ...problem.options.headers } };
}
