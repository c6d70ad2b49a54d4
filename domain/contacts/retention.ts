/** Kinds of data that are kept for a time, with the days they are kept where a workspace says nothing else. */
export const RETENTION_DEFAULTS = {
  /** Files of exports, from their completion on. */
  exports: 3,
  /** Uploaded files that no job waits for. */
  uploads: 7,
  /** Cells of rows that an import rejected. */
  import_rejections: 30,
  /** Stored answers behind Idempotency-Keys. */
  idempotency_keys: 7,
  /** Address, name and context in the ledger, once a message is in its end state. Null: for ever. */
  delivery_addresses: null,
  /** What servers answered when they did not accept a message. */
  delivery_diagnostics: 90,
  /** What visitors typed at sign-ups that were never confirmed. */
  unconfirmed_sign_ups: 30,
  /** Client ids of events, by which a repetition is known; events may be up to 28 days late. */
  event_keys: 90,
} as const satisfies Record<string, number | null>;

export type RetentionKind = keyof typeof RETENTION_DEFAULTS;

export const RETENTION_KINDS = [
  'exports',
  'uploads',
  'import_rejections',
  'idempotency_keys',
  'delivery_addresses',
  'delivery_diagnostics',
  'unconfirmed_sign_ups',
  'event_keys',
] as const satisfies readonly RetentionKind[];
