import type { PoolClient } from 'pg';
import { sha256 } from '../../platform/crypto';
import { one, sql } from '../../platform/postgres';
import { Problem } from './problem';

export interface StoredAnswer {
  status: number;
  body: unknown;
}

/**
 * Takes an Idempotency-Key inside the request's transaction. Returns the stored answer when the same request was
 * answered before; a concurrent duplicate waits here for the first one's commit.
 */
export async function takeIdempotencyKey(
  tx: PoolClient,
  scope: { workspaceId: string; operation: string; key: string; request: string },
): Promise<StoredAnswer | null> {
  if (scope.key.length > 255) {
    const detail = 'An Idempotency-Key has at most 255 characters.';
    throw new Problem('validation-failed', detail, { errors: [{ pointer: '/headers/idempotency-key', detail }] });
  }
  const hash = sha256(scope.request);
  const taken = await tx.query(sql`
    INSERT INTO idempotency_keys (workspace_id, operation, key, request_hash, response_status)
    VALUES (${scope.workspaceId}, ${scope.operation}, ${scope.key}, ${hash}, 0)
    ON CONFLICT DO NOTHING`);
  if (taken.rowCount === 1) return null;
  const stored = await one<{ request_hash: Buffer; response_status: number; response_body: unknown }>(
    tx,
    sql`SELECT request_hash, response_status, response_body FROM idempotency_keys
        WHERE workspace_id = ${scope.workspaceId} AND operation = ${scope.operation} AND key = ${scope.key}`,
  );
  if (!stored?.request_hash.equals(hash)) {
    throw new Problem(
      'idempotency-key-reused',
      'Use a new Idempotency-Key for a new request, or repeat the first request unchanged.',
    );
  }
  return { status: stored.response_status, body: stored.response_body };
}

/** Stores the answer beside the key, in the same transaction. */
export async function storeIdempotentAnswer(
  tx: PoolClient,
  scope: { workspaceId: string; operation: string; key: string },
  answer: StoredAnswer,
): Promise<void> {
  await tx.query(sql`
    UPDATE idempotency_keys SET response_status = ${answer.status}, response_body = ${JSON.stringify(answer.body ?? null)}
    WHERE workspace_id = ${scope.workspaceId} AND operation = ${scope.operation} AND key = ${scope.key}`);
}
