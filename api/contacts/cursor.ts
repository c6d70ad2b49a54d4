import { Problem } from '../http/problem';
import { id } from '../http/schemas';

/** The id in a cursor; 422 for anything else. */
export function cursorId(text: string): string {
  const parsed = id.safeParse(text);
  if (parsed.success) return parsed.data;
  const detail = 'The cursor is not one that this list gave out. Leave it away to start from the beginning.';
  throw new Problem('validation-failed', detail, { errors: [{ pointer: '/query/cursor', detail }] });
}
