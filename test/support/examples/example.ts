import type { World } from './world';

/** A request that the operation answers with 2xx (or 3xx) when the owner sends it. */
export interface ExampleRequest {
  /** Values of the path's parameters, without `ws`. */
  params?: Record<string, string>;
  query?: Record<string, string | number | boolean>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, with `headers['content-type']`. */
  rawBody?: string;
  headers?: Record<string, string>;
}

export type Example = (world: World) => ExampleRequest | Promise<ExampleRequest>;

/** By operationId. */
export type Examples = Record<string, Example>;
