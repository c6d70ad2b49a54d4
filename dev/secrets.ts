import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

const key = z.string().regex(/^[A-Za-z0-9_-]{43}$/, '32 bytes as base64url');

const stackSecretsSchema = z.object({
  /** SALLY_SECRETS: `kid:base64url(32 bytes)`, the current one first. */
  secrets: z.string().min(1),
  /** SALLY_SUPPRESSION_KEY */
  suppressionKey: key,
  /** Of the roles sally_owner, sally_api and sally_worker. */
  passwords: z.object({ owner: z.string().min(20), api: z.string().min(20), worker: z.string().min(20) }),
});

/** What the embedded stack keeps secret. There is no default for any of it. */
export type StackSecrets = z.infer<typeof stackSecretsSchema>;

/**
 * Reads the secrets of this installation, making random ones at the first start. The file has mode 0600. Without it,
 * links in mail that was sent are dead and encrypted credentials are lost, so a damaged one is an error.
 */
export function openSecrets(file: string): StackSecrets {
  if (existsSync(file)) {
    const parsed = stackSecretsSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    if (!parsed.success) throw new Error(`${file} is damaged. Restore it, or start over with --reset.`);
    return parsed.data;
  }
  const random = (bytes: number): string => randomBytes(bytes).toString('base64url');
  const secrets: StackSecrets = {
    secrets: `k1:${random(32)}`,
    suppressionKey: random(32),
    passwords: { owner: random(24), api: random(24), worker: random(24) },
  };
  mkdirSync(dirname(file), { recursive: true });
  writePrivateJson(file, secrets);
  return secrets;
}

/** Writes JSON that only we may read (0600), in one step. */
export function writePrivateJson(file: string, value: unknown): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, file);
}
