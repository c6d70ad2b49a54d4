/** One wrong place in a request: a JSON pointer (RFC 6901) below /body, /query, /params or /headers. */
export interface ProblemPlace {
  pointer: string;
  detail: string;
  /** Place in a template, 1-based. */
  line?: number;
  column?: number;
}

/** The stable problem types; documented in docs/problems.md. */
export const PROBLEMS = {
  'validation-failed': { status: 422, title: 'The request is not valid' },
  'malformed-body': { status: 400, title: 'The body cannot be read' },
  'unsupported-media-type': { status: 415, title: 'This content type is not accepted here' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  unauthenticated: { status: 401, title: 'Who is asking is not known' },
  forbidden: { status: 403, title: 'This is not allowed for your role or key' },
  'not-found': { status: 404, title: 'There is no such thing here' },
  'method-not-allowed': { status: 405, title: 'This method does not exist here' },
  conflict: { status: 409, title: 'The current state does not allow this' },
  gone: { status: 410, title: 'This is no longer available' },
  'version-mismatch': { status: 412, title: 'It was changed in the meantime' },
  'idempotency-key-reused': { status: 422, title: 'This Idempotency-Key was used for another request' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  'internal-error': { status: 500, title: 'Something went wrong on our side' },
  unavailable: { status: 503, title: 'Not available at the moment' },
} as const;
export type ProblemType = keyof typeof PROBLEMS;

/** An error answer (RFC 9457). Thrown anywhere below a route; everything else becomes internal-error. */
export class Problem extends Error {
  constructor(
    readonly type: ProblemType,
    /** What is wrong and what to do about it. */
    readonly detail: string,
    readonly options: {
      errors?: ProblemPlace[];
      /** Extension members, for example the current `state` of a conflict. */
      members?: Record<string, unknown>;
      headers?: Record<string, string>;
    } = {},
  ) {
    super(`${type}: ${detail}`);
  }

  get status(): number {
    return PROBLEMS[this.type].status;
  }

  /** The application/problem+json document. */
  toDocument(instance: string): Record<string, unknown> {
    return {
      type: `urn:sally:problem:${this.type}`,
      title: PROBLEMS[this.type].title,
      status: this.status,
      detail: this.detail,
      instance,
      ...this.options.members,
      ...(this.options.errors ? { errors: this.options.errors } : {}),
    };
  }
}

/** 404 that names what was looked for; the same for a foreign workspace's thing. */
export function notFound(what: string): Problem {
  return new Problem('not-found', `No ${what} with this id exists in this workspace.`);
}

/** 422 for one field of the body. `path` without leading slash: "email", "fields/seats". */
export function invalidField(path: string, detail: string): Problem {
  return new Problem('validation-failed', detail, { errors: [{ pointer: `/body/${path}`, detail }] });
}

/** 409 that names the current state and what would be allowed. */
export function wrongState(entity: string, state: string, detail: string): Problem {
  return new Problem('conflict', `The ${entity} is ${state}. ${detail}`, { members: { state } });
}
