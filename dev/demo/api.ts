import { z } from 'zod';

const problem = z.object({ detail: z.string() });
const WAIT_MS = 60_000;

/** An answer of the API outside 2xx. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    request: string,
    detail: string,
  ) {
    super(`${request} answered ${status}: ${detail}`);
  }
}

export interface ApiRequest {
  /** Sent as JSON, or as it is when `contentType` is given. */
  body?: unknown;
  contentType?: string;
  idempotencyKey?: string;
}

/** The public HTTP API, as any client sees it: JSON in, JSON out, a bearer token. */
export class Api {
  constructor(
    readonly url: string,
    private readonly token: string | null = null,
  ) {}

  /** The same API with a session token or an API key. */
  as(token: string): Api {
    return new Api(this.url, token);
  }

  get<T extends z.ZodType>(path: string, answer: T): Promise<z.output<T>> {
    return this.request('GET', path, answer);
  }

  post<T extends z.ZodType>(path: string, answer: T, body?: unknown): Promise<z.output<T>> {
    return this.request('POST', path, answer, { body });
  }

  /** @throws ApiError for every answer outside 2xx, ZodError for one that is not as documented */
  async request<T extends z.ZodType>(
    method: string,
    path: string,
    answer: T,
    request: ApiRequest = {},
  ): Promise<z.output<T>> {
    const text = await this.text(method, path, request);
    return answer.parse(text === '' ? undefined : JSON.parse(text));
  }

  /** The body of the answer as it came. */
  async text(method: string, path: string, request: ApiRequest = {}): Promise<string> {
    const { body, contentType, idempotencyKey } = request;
    const response = await fetch(this.url + path, {
      method,
      signal: AbortSignal.timeout(WAIT_MS),
      headers: {
        ...(this.token === null ? {} : { authorization: `Bearer ${this.token}` }),
        ...(body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new ApiError(response.status, `${method} ${path}`, detailOf(text));
    return text;
  }

  /** All items of a list, page by page. */
  async all<T extends z.ZodType>(path: string, item: T): Promise<z.output<T>[]> {
    const page = z.object({ items: z.array(item), next_cursor: z.string().nullable() });
    const items: z.output<T>[] = [];
    let cursor: string | null = null;
    do {
      const more: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const { items: found, next_cursor }: z.output<typeof page> = await this.get(
        `${path}${path.includes('?') ? '&' : '?'}limit=200${more}`,
        page,
      );
      items.push(...found);
      cursor = next_cursor;
    } while (cursor !== null);
    return items;
  }
}

function detailOf(text: string): string {
  try {
    return problem.parse(JSON.parse(text)).detail;
  } catch {
    return text.slice(0, 200);
  }
}
