/** Custom contact fields (spec 000, "Scalable profile model"): what a workspace may define. */

export const FIELD_TYPES = ['text', 'number', 'boolean', 'date', 'datetime', 'enum', 'url', 'list'] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

/**
 * A stored value: text, enum and url are strings, `date` is "YYYY-MM-DD", `datetime` an ISO 8601 string in UTC with
 * milliseconds, `list` an array of strings.
 */
export type FieldValue = string | number | boolean | readonly string[];

export interface FieldDefinition {
  /** Unique in the workspace, `^[a-z][a-z0-9_]{0,62}$`, and no name that templates already use. */
  readonly key: string;
  readonly type: FieldType;
  /** A new contact must have it (a default counts); it can't be removed later. */
  readonly required: boolean;
  /** Given to new contacts that bring no value. */
  readonly defaultValue?: FieldValue | null | undefined;
  /** The permitted values; for `enum` only. */
  readonly options?: readonly string[] | null | undefined;
}

export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** `contacts.fields` in bytes of JSON. */
export const MAX_SNAPSHOT_BYTES = 32 * 1024;

export const MAX_ENUM_OPTIONS = 200;
export const MAX_OPTION_LENGTH = 200;

/** Custom fields stand at the top level of the render context, so they can't take a name that is there already. */
export const RESERVED_FIELD_KEYS: ReadonlySet<string> = new Set([
  ...['email', 'first_name', 'last_name', 'recipient_name', 'locale', 'time_zone', 'tags', 'fields', 'contact'],
  ...[
    'unsubscribe_url',
    'preferences_url',
    'confirm_url',
    'invitation_url',
    'view_url',
    'workspace',
    'workspace_name',
    'workspace_address',
    'campaign',
    'message',
    'tracking',
  ],
  ...[
    'loop',
    'range',
    'dict',
    'namespace',
    'cycler',
    'joiner',
    'debug',
    'self',
    'super',
    'caller',
    'varargs',
    'kwargs',
  ],
  ...['true', 'false', 'none', 'null', 'undefined', 'and', 'or', 'not', 'is', 'in', 'if', 'else', 'elif', 'for', 'set'],
  ...['endif', 'endfor', 'endset', 'with', 'macro', 'call', 'filter', 'block', 'recursive', 'constructor', 'prototype'],
]);

const KEY = /^[a-z][a-z0-9_]{0,62}$/;

export function isFieldKey(key: string): boolean {
  return KEY.test(key) && !RESERVED_FIELD_KEYS.has(key);
}
