import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engagement } from '../../db/tracking';
import { uuidv7 } from '../../platform/ids';

/** An engagement that waits on disk; the workspace is null where its message could not be looked up. */
export type SpooledEngagement = Omit<Engagement, 'workspaceId'> & { workspaceId: string | null; messageId: string };

const line = z.object({
  id: z.uuid(),
  workspaceId: z.uuid().nullable(),
  messageId: z.uuid(),
  sourceId: z.uuid(),
  deliveryId: z.uuid(),
  kind: z.enum(['OPEN', 'CLICK']),
  linkPosition: z.number().int().nullable(),
  actor: z.enum(['human', 'machine', 'unknown']),
  occurredAt: z.iso.datetime().transform((value) => new Date(value)),
});

/** A file is appended to for this long, then it is ready to be replayed. */
const ROTATE_MS = 1_000;
const OPEN_PREFIX = 'open-';
const READY_PREFIX = 'ready-';

/**
 * Where clicks wait while Postgres is away: append-only files of JSON lines, on disk (fdatasync) before the click is
 * answered. Several processes may share the directory. A process appends to a file of its own, "open-…", for a second
 * and renames it to "ready-…"; ready files are replayed by whoever sees them first. Two may replay the same one, and
 * a replay may be cut off: the lines carry their ids, so writing them again changes nothing.
 */
export class ClickSpool {
  private current: { handle: FileHandle; path: string; since: number } | null = null;
  private queue: Promise<void> = Promise.resolve();

  /** @param adoptAfterMs files that a killed process left open are taken over when untouched for this long */
  constructor(
    readonly directory: string,
    private readonly adoptAfterMs = 60_000,
  ) {}

  /** Resolves when the engagements are on disk. @throws the file system's error, for example ENOSPC */
  append(engagements: readonly SpooledEngagement[]): Promise<void> {
    const text = engagements.map((engagement) => `${JSON.stringify(engagement)}\n`).join('');
    return this.inOrder(async () => {
      // Also after a freeze (SIGSTOP): a file of long ago may have been taken over by another process.
      await this.rotate(ROTATE_MS);
      this.current ??= await this.create();
      await this.current.handle.appendFile(text);
      await this.current.handle.datasync();
    });
  }

  /** Paths of files that can be replayed now, oldest first. */
  async ready(): Promise<string[]> {
    await this.inOrder(() => this.rotate(ROTATE_MS));
    const names = await readdir(this.directory).catch(() => []);
    const paths: string[] = [];
    for (const name of names.sort()) {
      const path = join(this.directory, name);
      if (name.startsWith(READY_PREFIX)) paths.push(path);
      else if (name.startsWith(OPEN_PREFIX) && path !== this.current?.path) {
        const adopted = await this.adopt(path);
        if (adopted) paths.push(adopted);
      }
    }
    return paths;
  }

  /** The engagements of a file; a line that was cut by a kill was never answered, and is left out. */
  async read(path: string): Promise<SpooledEngagement[]> {
    const engagements: SpooledEngagement[] = [];
    for (const text of (await readFile(path, 'utf8')).split('\n')) {
      if (text === '') continue;
      const parsed = line.safeParse(parseJson(text));
      if (parsed.success) engagements.push(parsed.data);
    }
    return engagements;
  }

  /** Forgets a file that is in Postgres now. */
  async remove(path: string): Promise<void> {
    await unlink(path).catch(ignoreMissing);
  }

  /** Makes everything appended ready to be replayed, by this process or the next one. */
  close(): Promise<void> {
    return this.inOrder(() => this.rotate(0));
  }

  private async create(): Promise<{ handle: FileHandle; path: string; since: number }> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const path = join(this.directory, `${OPEN_PREFIX}${uuidv7()}.ndjson`);
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_APPEND | constants.O_WRONLY;
    const handle = await open(path, flags, 0o600);
    await syncDirectory(this.directory);
    return { handle, path, since: Date.now() };
  }

  private async rotate(olderThanMs: number): Promise<void> {
    const file = this.current;
    if (!file || Date.now() - file.since < olderThanMs) return;
    this.current = null;
    await file.handle.close();
    await rename(file.path, readyPath(file.path)).catch(ignoreMissing);
  }

  private async adopt(path: string): Promise<string | null> {
    try {
      if (Date.now() - (await stat(path)).mtimeMs < this.adoptAfterMs) return null;
      await rename(path, readyPath(path));
      return readyPath(path);
    } catch (error) {
      ignoreMissing(error);
      return null;
    }
  }

  /** One file operation after the other. */
  private inOrder(work: () => Promise<void>): Promise<void> {
    const result = this.queue.then(work);
    this.queue = result.catch(() => undefined);
    return result;
  }
}

function readyPath(path: string): string {
  return path.replace(/open-([^/\\]*)$/, `${READY_PREFIX}$1`);
}

/** The name of a new file is on disk only when its directory is. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function ignoreMissing(error: unknown): void {
  if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT') return;
  throw error;
}
