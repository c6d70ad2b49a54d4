import { z } from 'zod';

/** Bounds of a tree of conditions: a condition alone has depth 1. */
export const MAX_DEPTH = 8;
export const MAX_CONDITIONS = 100;

/** Fields that every contact has. `tags` is a list, `created_at` a moment, the others are texts. */
export const BUILT_IN_FIELDS = {
  email: 'text',
  email_domain: 'text',
  first_name: 'text',
  last_name: 'text',
  locale: 'text',
  time_zone: 'text',
  status: 'text',
  tags: 'list',
  created_at: 'datetime',
} as const;
export type BuiltInField = keyof typeof BUILT_IN_FIELDS;

export const OPERATORS = [
  ...['equals', 'one_of', 'contains', 'starts_with', 'ends_with', 'missing'],
  ...['less_than', 'at_most', 'greater_than', 'at_least'],
  ...['before', 'after', 'on_date', 'within_last', 'within_next', 'older_than'],
  ...['contains_any', 'contains_all'],
] as const;

/** What Postgres can store: neither NUL nor half a surrogate pair. */
const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((value) => !/[\0\p{Surrogate}]/u.test(value), 'must not contain NUL or broken Unicode')
    .transform((value) => value.normalize('NFC'));

/** A length of time that is the same everywhere: a day is 24 hours here, save for dates, which count calendar days. */
const duration = z.strictObject({
  amount: z.number().int().min(1).max(36_500),
  unit: z.enum(['hours', 'days', 'weeks']),
});
export type Duration = z.output<typeof duration>;

const value = z.union([
  text(2_000),
  z.number().refine(Number.isFinite, 'must be finite'),
  z.boolean(),
  z.array(text(500)).min(1).max(200),
  duration,
]);
export type ConditionValue = z.output<typeof value>;

const operator = z.enum(OPERATORS);
const uuid = z.uuid().transform((given) => given.toLowerCase());
const key = z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a key of lower-case letters, digits, _ and -');
const times = z.number().int().min(1).max(10_000);
const fieldNames = Object.keys(BUILT_IN_FIELDS).filter((name): name is BuiltInField => name in BUILT_IN_FIELDS);

/** One condition about a contact; `type` says what it asks about. */
export const condition = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('field'), field: z.enum(fieldNames), operator, value: value.optional() }),
  z.strictObject({
    type: z.literal('custom_field'),
    field: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be the name of a custom field'),
    operator,
    value: value.optional(),
  }),
  z.strictObject({
    type: z.literal('consent'),
    purpose: key,
    status: z.enum(['granted', 'denied', 'pending', 'none']),
  }),
  z.strictObject({ type: z.literal('category'), category: key, subscribed: z.boolean() }),
  z.strictObject({ type: z.literal('audience'), audience_id: uuid }),
  z.strictObject({
    type: z.literal('submission'),
    origin: z
      .string()
      .regex(/^[A-Z][A-Z_]{1,30}$/, 'must be an origin such as SIGN_UP')
      .optional(),
    at_least: times.optional(),
    within: duration.optional(),
  }),
  z.strictObject({
    type: z.literal('engagement'),
    activity: z.enum(['opened', 'clicked', 'bounced', 'received', 'nothing_received']),
    campaign_id: uuid.optional(),
    url: text(2_048).optional(),
    within: duration.optional(),
  }),
  z.strictObject({
    type: z.literal('event'),
    event_type: z.string().regex(/^[a-z][a-z0-9_]{0,49}$/, 'must be the name of an event type'),
    at_least: times.optional(),
    within: duration.optional(),
  }),
]);
export type Condition = z.output<typeof condition>;
export type ConditionOf<T extends Condition['type']> = Extract<Condition, { type: T }>;

/** A tree of conditions. `not` is exact: it is true for everybody for whom the other is false. */
export type ConditionTree =
  | { all: readonly ConditionTree[] }
  | { any: readonly ConditionTree[] }
  | { not: ConditionTree }
  | Condition;

export interface TreeProblem {
  /** Path below the tree: "all/0/value". */
  path: string;
  message: string;
}

export type ParsedTree = { ok: true; tree: ConditionTree } | { ok: false; problems: TreeProblem[] };

/** Reads a tree from what a client sent (JSON of any shape); at most 20 problems. */
export function parseConditions(input: unknown): ParsedTree {
  const state = { conditions: 0, problems: [] as TreeProblem[] };
  const tree = parseNode(input, '', 1, state);
  if (state.conditions > MAX_CONDITIONS) {
    state.problems.unshift({ path: '', message: `has more than ${MAX_CONDITIONS} conditions` });
  }
  if (tree === null || state.problems.length > 0) return { ok: false, problems: state.problems.slice(0, 20) };
  return { ok: true, tree };
}

interface ParseState {
  conditions: number;
  problems: TreeProblem[];
}

function parseNode(input: unknown, path: string, depth: number, state: ParseState): ConditionTree | null {
  const refuse = (message: string): null => {
    state.problems.push({ path, message });
    return null;
  };
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return refuse('must be an object: {all: […]}, {any: […]}, {not: …} or a condition');
  }
  if (depth > MAX_DEPTH) return refuse(`is nested deeper than ${MAX_DEPTH} levels`);
  if ('all' in input || 'any' in input || 'not' in input) {
    if (Object.keys(input).length !== 1) return refuse('has all, any or not together with something else');
  }
  if ('not' in input) {
    const inner = parseNode(input.not, below(path, 'not'), depth + 1, state);
    return inner && { not: inner };
  }
  if ('all' in input) {
    const children = parseList(input.all, below(path, 'all'), depth, state);
    return children && { all: children };
  }
  if ('any' in input) {
    const children = parseList(input.any, below(path, 'any'), depth, state);
    return children && { any: children };
  }
  return parseCondition(input, path, state);
}

function parseList(input: unknown, path: string, depth: number, state: ParseState): ConditionTree[] | null {
  if (!Array.isArray(input) || input.length === 0) {
    state.problems.push({ path, message: 'must be a list of at least one condition' });
    return null;
  }
  if (input.length > MAX_CONDITIONS) {
    state.problems.push({ path, message: `has more than ${MAX_CONDITIONS} conditions` });
    return null;
  }
  // Once it is too large there is no use in reading on.
  const children = input.map((child, index) =>
    state.conditions > MAX_CONDITIONS ? null : parseNode(child, below(path, String(index)), depth + 1, state),
  );
  const read = children.filter((child) => child !== null);
  return read.length === children.length ? read : null;
}

function parseCondition(input: object, path: string, state: ParseState): Condition | null {
  state.conditions += 1;
  const parsed = condition.safeParse(input);
  if (parsed.success) {
    const problem = mismatch(parsed.data);
    if (problem === null) return parsed.data;
    state.problems.push({ path, message: problem });
    return null;
  }
  for (const issue of parsed.error.issues) {
    state.problems.push({ path: [path, ...issue.path.map(String)].filter(Boolean).join('/'), message: issue.message });
  }
  return null;
}

/** What the shape alone cannot say. */
function mismatch(given: Condition): string | null {
  if (given.type !== 'engagement') return null;
  return given.url !== undefined && given.activity !== 'clicked' ? 'url goes with the activity "clicked" only' : null;
}

function below(path: string, step: string): string {
  return path === '' ? step : `${path}/${step}`;
}

/** Every condition of a tree with its path, in reading order. */
export function conditionsOf(tree: ConditionTree, path = ''): { condition: Condition; path: string }[] {
  if ('all' in tree) return tree.all.flatMap((child, index) => conditionsOf(child, below(path, `all/${index}`)));
  if ('any' in tree) return tree.any.flatMap((child, index) => conditionsOf(child, below(path, `any/${index}`)));
  if ('not' in tree) return conditionsOf(tree.not, below(path, 'not'));
  return [{ condition: tree, path }];
}
