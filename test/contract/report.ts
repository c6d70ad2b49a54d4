import { z } from 'zod';

/** A line of the file that hooks.py writes: an answer, or what a check has against one. */
const line = z.object({
  operation: z.string(),
  status: z.number().int(),
  failure: z
    .object({
      title: z.string(),
      message: z.string().nullable(),
      method: z.string(),
      url: z.string(),
      contentType: z.string().nullable(),
      body: z.string().nullable(),
      answer: z.string().nullable(),
    })
    .optional(),
});
type Line = z.output<typeof line>;

/** The operations' share that must have answered with success. */
const MUST_SUCCEED = 0.9;
/** Of a long text its beginning tells enough. */
const SHOWN = 600;

interface Verdict {
  ok: boolean;
  /** What to print. */
  text: string;
}

/**
 * Judges what was sent.
 * @param lines the content of hooks.py's file
 * @param operations all operationIds that were meant to be tested
 * @param repeat the command that sends the same requests to one operation
 */
export function judge(lines: string, operations: string[], repeat: (operation: string) => string): Verdict {
  const all = lines.split('\n').filter((text) => text !== '');
  const parsed = all.map((text) => line.parse(JSON.parse(text)));
  const answers = parsed.filter(({ failure }) => failure === undefined);
  const failures = parsed.filter(({ failure }) => failure !== undefined);
  const byOperation = grouped(answers, ({ operation }) => operation);
  const untouched = operations.filter((operation) => !byOperation.has(operation));
  const unsuccessful = operations.filter((operation) => !byOperation.get(operation)?.some(isSuccess));
  const reached = operations.length - unsuccessful.length;
  const parts = failureTexts(failures, repeat);
  if (untouched.length > 0) parts.push(`Not a single request was sent to: ${untouched.join(', ')}`);
  if (unsuccessful.length > 0) parts.push(`Never answered with success: ${unsuccessful.join(', ')}`);
  const counts = operations.map((operation) => byOperation.get(operation)?.length ?? 0).sort((a, b) => a - b);
  const statuses = [...grouped(answers, ({ status }) => status)].sort(([a], [b]) => a - b);
  parts.push(
    `${answers.length} requests to ${operations.length} operations (at least ${counts[0] ?? 0} each, median ` +
      `${counts[Math.floor(counts.length / 2)] ?? 0}); ${reached} operations answered with success.`,
    `Answers: ${statuses.map(([status, list]) => `${list.length} × ${status}`).join(', ')}.`,
  );
  const ok = failures.length === 0 && untouched.length === 0 && reached >= operations.length * MUST_SUCCEED;
  return { ok, text: parts.join('\n') };
}

function isSuccess({ status }: Line): boolean {
  return status >= 200 && status < 400;
}

/** One text for each kind of failure of each operation, with its first request. */
function failureTexts(failures: Line[], repeat: (operation: string) => string): string[] {
  const kinds = grouped(failures, ({ operation, status, failure }) => `${operation}: ${status}, ${failure?.title}`);
  return [...kinds].map(([kind, [first, ...more]]) => {
    const { message, method, url, contentType, body, answer } = first?.failure ?? {};
    const details = [
      message,
      `${method} ${url}`,
      body ? `${contentType}: ${body}` : null,
      `answered: ${answer}`,
      `repeat: ${repeat(first?.operation ?? '')}`,
    ];
    const shown = details.flatMap((detail) => (detail ? [detail.slice(0, SHOWN).replace(/^/gm, '    ')] : []));
    return [`✗ ${kind} (${more.length + 1} times)`, ...shown].join('\n');
  });
}

/** Map.groupBy of newer Nodes. */
function grouped<Item, Key>(items: Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
