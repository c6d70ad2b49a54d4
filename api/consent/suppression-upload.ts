import { type SuppressionTarget, suppressManually } from '../../db/consent';
import { writeAudit } from '../../db/workspace';
import { normaliseDomain, normaliseEmail } from '../../domain/contacts';
import type { AddressHasher } from '../../platform/crypto';
import { Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { plainText, z } from '../http/schemas';
import { addressTarget, domainTarget } from './suppression-targets';

const MAX_BYTES = 16 * 1024 * 1024;
/** Rows of one transaction: some 100 ms. */
const BATCH = 5_000;
const MOST_REPORTED = 100;
const HEADINGS = new Set(['email', 'e-mail', 'email address', 'address', 'domain']);

const result = z.object({
  lines: z.number().int(),
  added: z.number().int().openapi({ description: 'New, or held until now.' }),
  already_suppressed: z.number().int(),
  rejected: z.number().int(),
  rejections: z
    .array(z.object({ line: z.number().int(), detail: z.string() }))
    .openapi({ description: `The first ${MOST_REPORTED} lines that are neither address nor domain.` }),
});

/** The first cell of a line: other columns (a reason, a date) are not looked at. */
function firstCell(line: string): string {
  const quoted = /^\s*"((?:[^"]|"")*)"/.exec(line);
  return (quoted ? (quoted[1] ?? '').replaceAll('""', '"') : (line.split(/[,;\t]/, 1)[0] ?? '')).trim();
}

/** An address, a domain ("example.com" or "@example.com"), or what is wrong with it. */
function readTarget(cell: string, hasher: AddressHasher): { key: string; target: SuppressionTarget } | string {
  if (cell.lastIndexOf('@') > 0) {
    const email = normaliseEmail(cell);
    return email.ok ? { key: email.email, target: addressTarget(email.email, hasher) } : email.message;
  }
  const domain = normaliseDomain(cell.replace(/^@/, ''));
  if (domain === null || !domain.includes('.')) return 'is neither an address nor a domain';
  return { key: `@${domain}`, target: domainTarget(domain) };
}

async function readText({ raw: { request } }: WorkspaceContext): Promise<string> {
  const tooLarge = () => new Problem('body-too-large', `A list has at most ${MAX_BYTES} bytes. Split it into several.`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_BYTES) throw tooLarge();
  const parts: Buffer[] = [];
  let size = 0;
  // Without destroyOnReturn a refusal would cut the connection, and the client would not see the answer.
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    const bytes: Buffer = Buffer.isBuffer(part) ? part : Buffer.from(String(part));
    size += bytes.length;
    if (size > MAX_BYTES) throw tooLarge();
    parts.push(bytes);
  }
  if (!request.complete) throw new Problem('malformed-body', 'The body ended before its announced length.');
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

export const suppressionUploadRoutes = [
  defineRoute({
    operationId: 'uploadSuppressions',
    method: 'post',
    path: '/workspaces/{ws}/suppressions/upload',
    tag: 'Suppressions',
    summary: 'Suppresses a whole list, one address or domain per line',
    description:
      'Plain text, or CSV whose first column counts. Lines that are neither are reported and left out. What is ' +
      'suppressed already stays as it is, so a list that was cut off can be sent again.',
    access: 'workspace',
    permission: 'suppressions:write',
    transaction: false,
    query: z.strictObject({ note: plainText(500).default('') }),
    accepts: { types: ['text/csv', 'text/plain'], mode: 'stream' },
    responses: { 200: { description: 'What was done', schema: result } },
    async handle(context, { query }) {
      const { deps, workspaceId, actor, requestId } = context;
      const lines = (await readText(context)).split(/\r\n|\n|\r/);
      const targets = new Map<string, SuppressionTarget>();
      const answer: z.output<typeof result> = {
        lines: 0,
        added: 0,
        already_suppressed: 0,
        rejected: 0,
        rejections: [],
      };
      lines.forEach((line, index) => {
        const cell = firstCell(line);
        if (cell === '' || (index === 0 && HEADINGS.has(cell.toLowerCase()))) return;
        answer.lines += 1;
        const read = readTarget(cell, deps.addressHasher);
        if (typeof read !== 'string') targets.set(read.key, read.target);
        else {
          answer.rejected += 1;
          if (answer.rejections.length < MOST_REPORTED) answer.rejections.push({ line: index + 1, detail: read });
        }
      });
      if (answer.lines === 0) {
        const detail = 'The list is empty: one address or domain per line.';
        throw new Problem('validation-failed', detail, { errors: [{ pointer: '/body', detail }] });
      }
      const all = [...targets.values()];
      for (let start = 0; start < Math.max(all.length, 1); start += BATCH) {
        const batch = all.slice(start, start + BATCH);
        const added = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
          const rows = await suppressManually(tx, workspaceId, batch, query.note, actor.userId, 'IMPORT');
          await writeAudit(tx, {
            workspaceId,
            actor: { type: actor.apiKeyId ? 'api_key' : 'user', userId: actor.userId, apiKeyId: actor.apiKeyId },
            action: 'suppression.upload',
            entityType: 'suppression',
            entityId: null,
            new: { count: rows.length, of: batch.length, note: query.note },
            requestId,
          });
          return rows.length;
        });
        answer.added += added;
        answer.already_suppressed += batch.length - added;
      }
      return { status: 200, body: answer };
    },
  }),
];
