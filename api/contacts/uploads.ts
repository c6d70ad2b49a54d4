import { createHash } from 'node:crypto';
import {
  completeUpload,
  deleteExpiredUpload,
  deleteUpload,
  findUpload,
  insertUpload,
  insertUploadChunk,
  UPLOAD_CHUNK_BYTES,
  type UploadRow,
} from '../../db/contacts';
import { writeAudit } from '../../db/workspace';
import { notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { headerText, id, moment, z } from '../http/schemas';
import { TAG } from './schemas';

const UPLOADS = '/workspaces/{ws}/uploads';

const upload = z
  .object({
    id,
    filename: z.string(),
    content_type: z.string(),
    size_bytes: z.number().int(),
    sha256: z.string().nullable(),
    completed_at: moment.nullable(),
    created_at: moment,
  })
  .openapi('Upload');

export const uploadRoutes = [
  defineRoute({
    method: 'post',
    path: UPLOADS,
    operationId: 'createUpload',
    tag: TAG,
    summary: 'Uploads a file, to be imported afterwards',
    description: 'The body is the file itself, at most UPLOAD_MAX_BYTES. It is kept for seven days.',
    access: 'workspace',
    permission: 'contacts:write',
    transaction: false,
    accepts: { types: ['text/csv', 'application/octet-stream'], mode: 'stream' },
    query: z.strictObject({ filename: headerText(255).default('contacts.csv') }),
    responses: { 201: { description: 'The upload', schema: upload } },
    async handle(context, { query }) {
      const row = await receive(context, query.filename);
      return { status: 201, body: show(row) };
    },
  }),
  defineRoute({
    method: 'get',
    path: `${UPLOADS}/{upload_id}`,
    operationId: 'getUpload',
    tag: TAG,
    summary: 'Reads what is known of an upload',
    access: 'workspace',
    permission: 'contacts:read',
    params: z.object({ upload_id: id }),
    responses: { 200: { description: 'The upload', schema: upload } },
    async handle(context, { params }) {
      const row = await findUpload(context.tx, context.workspaceId, params.upload_id);
      if (!row) throw notFound('upload');
      return { status: 200, body: show(row) };
    },
  }),
];

/**
 * Stores the request's body chunk by chunk, each in a short transaction: one chunk is in memory, and the client waits
 * while Postgres writes. What is cut off, or too large, is removed again.
 */
async function receive(context: WorkspaceContext, filename: string): Promise<UploadRow> {
  const { deps, workspaceId, actor } = context;
  const { request } = context.raw;
  const limit = deps.config.UPLOAD_MAX_BYTES;
  const tooLarge = () => new Problem('body-too-large', `A file has at most ${limit} bytes. Split it into several.`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const uploadId = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
    await deleteExpiredUpload(tx, workspaceId);
    const contentType = request.headers['content-type'] ?? 'application/octet-stream';
    return insertUpload(tx, { workspaceId, filename, contentType, createdBy: actor.userId });
  });
  const hash = createHash('sha256');
  let position = 0;
  let sizeBytes = 0;
  const store = (data: Buffer) =>
    deps.db.workspaceTransaction(workspaceId, (tx) =>
      insertUploadChunk(tx, { workspaceId, uploadId, position: position++, data }),
    );
  try {
    let parts: Buffer[] = [];
    let collected = 0;
    // Without destroyOnReturn a refusal would cut the connection, and the client would not see the answer.
    for await (const part of request.iterator({ destroyOnReturn: false })) {
      const bytes: Buffer = Buffer.isBuffer(part) ? part : Buffer.from(String(part));
      hash.update(bytes);
      sizeBytes += bytes.length;
      if (sizeBytes > limit) throw tooLarge();
      parts.push(bytes);
      collected += bytes.length;
      while (collected >= UPLOAD_CHUNK_BYTES) {
        const all = Buffer.concat(parts, collected);
        await store(all.subarray(0, UPLOAD_CHUNK_BYTES));
        parts = [all.subarray(UPLOAD_CHUNK_BYTES)];
        collected -= UPLOAD_CHUNK_BYTES;
      }
    }
    if (!request.complete) throw new Problem('malformed-body', 'The body ended before its announced length.');
    if (sizeBytes === 0) {
      const detail = 'The body is empty; send the file as the body.';
      throw new Problem('validation-failed', detail, { errors: [{ pointer: '/body', detail }] });
    }
    if (collected > 0) await store(Buffer.concat(parts, collected));
    return await deps.db.workspaceTransaction(workspaceId, async (tx) => {
      const row = await completeUpload(tx, { workspaceId, uploadId, sizeBytes, sha256: hash.digest('hex') });
      await writeAudit(tx, {
        workspaceId,
        actor: { type: actor.apiKeyId ? 'api_key' : 'user', userId: actor.userId, apiKeyId: actor.apiKeyId },
        action: 'upload.create',
        entityType: 'upload',
        entityId: uploadId,
        new: { size_bytes: sizeBytes, sha256: row.sha256 },
        requestId: context.requestId,
      });
      return row;
    });
  } catch (error) {
    await deps.db
      .workspaceTransaction(workspaceId, (tx) => deleteUpload(tx, workspaceId, uploadId))
      .catch((cleanUp: unknown) => context.log.warn({ err: cleanUp }, 'an aborted upload stays until it expires'));
    if (isAbort(error)) throw new Problem('malformed-body', 'The body ended before its announced length.');
    throw error;
  }
}

/** The client went away: nobody reads the answer, but it is no mistake of ours. */
function isAbort(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return error.code === 'ECONNRESET' || error.code === 'ERR_STREAM_PREMATURE_CLOSE';
}

function show(row: UploadRow): z.input<typeof upload> {
  return {
    id: row.id,
    filename: row.filename,
    content_type: row.content_type,
    size_bytes: row.size_bytes,
    sha256: row.sha256,
    completed_at: row.completed_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}
