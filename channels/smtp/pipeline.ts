import type { Transaction } from './transaction';

/** Content above this many octets is written in pieces, and its end only when the kernel has taken all before it. */
export const LARGE = 64 * 1024;

/** Mail transactions on one connection, as the pool sees them. */
export interface Pipeline {
  start(): void;
  /** Nothing is under way. */
  readonly idle: boolean;
  /** Messages under way. */
  readonly load: number;
  /** Most messages it has under way at once as things are now. */
  readonly places: number;
  /** A message could be begun right now. */
  readonly ready: boolean;
  /** Begins the next message of the owner, if there is one. */
  begin(): void;
  /** Takes no more messages; says QUIT when what is under way is answered. */
  retire(): void;
  /** Ends the connection now. What was handed over and not answered becomes unknown, the rest is not sent. */
  abandon(cause: 'fenced' | 'stopped' | 'connection'): void;
  /** It ended by itself before the server answered a single command: no better than no connection. */
  readonly useless: boolean;
}

/** What a pipeline asks of the pool it belongs to. */
export interface PipelineOwner {
  /** The next message, already asked at its gate; undefined when none waits. */
  next(): Transaction | undefined;
  /** The process lost its lease: everything must stop. */
  fence(): void;
  /** A message was settled or the pipeline can begin one again. */
  progressed(pipeline: Pipeline): void;
  /** The server left messages without an answer that another way of speaking to it would not have put at risk. */
  distrust(pipeline: Pipeline): void;
  ended(pipeline: Pipeline): void;
}
