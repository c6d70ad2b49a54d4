import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removePostgresData } from '../../dev/postgres';
import { readStackFile, type StackFile } from '../../dev/stack-file';
import { PROJECT, tsxArguments } from '../../dev/tsx';

/** A small file, so that the machine is not busy for a minute; the pipeline tells the story in full. */
const CONTACTS = 300;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sally-demo-'));
});
afterAll(() => {
  removePostgresData(join(folder, 'postgres'));
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  lines: string[];
  errors: string;
  /** stack.json as it was while the story was told. */
  file: StackFile | undefined;
}

async function demo(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  // The suite's own stack must not become the demo's.
  const { DATABASE_URL, TEMPORAL_ADDRESS, SMTP_URL, SMTP_HOST, PUBLIC_URL, ...inherited } = process.env;
  const child = spawn(process.execPath, tsxArguments('dev/demo.ts', ...args), {
    cwd: PROJECT,
    env: { ...inherited, SALLY_DIRECTORY: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  let code: number | null | undefined;
  const closed = new Promise<void>((resolve) => {
    child.once('close', (status) => {
      code = status;
      resolve();
    });
  });
  let file: StackFile | undefined;
  while (code === undefined) {
    const seen = readStackFile(join(folder, 'stack.json'));
    if (seen?.workspaceId) file = seen;
    await Promise.race([closed, sleep(100)]);
  }
  return { code, lines: output.trimEnd().split('\n'), errors, file };
}

it('does the main job twice on the same data, and each time the last line says that everything held', async () => {
  const first = await demo(['--once', '--contacts', String(CONTACTS)]);
  expect({ code: first.code, errors: first.errors }).toEqual({ code: 0, errors: '' });
  const result = JSON.parse(first.lines.at(-1) ?? '');
  expect(Object.keys(result)).toEqual([
    ...['ok', 'imported', 'rejected', 'confirmed', 'materialised', 'sent', 'failed', 'unconfirmed', 'balanced'],
  ]);
  expect(result).toMatchObject({ ok: true, confirmed: 3, unconfirmed: 0, balanced: true });
  expect(result.imported + result.rejected).toBe(CONTACTS);
  expect(result.rejected).toBeGreaterThan(0);
  expect(result.failed).toMatchObject({ SUPPRESSED_ADDRESS: 3, CONSENT_DENIED: 1 });
  const failed = Object.values<number>(result.failed).reduce((sum, count) => sum + count, 0);
  expect(result.sent + failed).toBe(result.materialised);
  const log = readFileSync(join(folder, 'logs', 'api.log'), 'utf8');
  expect(log).not.toMatch(/"statusCode":5\d\d|@visitors\.example/);
  expect(first.file?.workspaceId).toMatch(/^[0-9a-f-]{36}$/);
  expect(first.file?.apiKey).toMatch(/^sally_/);
  expect(existsSync(join(folder, 'stack.json'))).toBe(false);

  const second = await demo(['--once', '--contacts', String(CONTACTS)]);
  expect({ code: second.code, errors: second.errors }).toEqual({ code: 0, errors: '' });
  expect(JSON.parse(second.lines.at(-1) ?? '')).toMatchObject({ ok: true, confirmed: 3, balanced: true });
  expect(second.file?.workspaceId).toBe(first.file?.workspaceId);
}, 600_000);

it('refuses every mail transport but its own inbox', async () => {
  const refused = await demo(['--once'], { SMTP_URL: 'smtp://relay.example:587' });
  expect(refused.code).toBe(1);
  expect(refused.errors).toContain('SMTP_URL or SMTP_HOST is set');
  expect(JSON.parse(refused.lines.at(-1) ?? '')).toMatchObject({ ok: false, sent: 0 });
});

it.each([['--contacts', '0'], ['--contacts', 'many'], ['--fast']])(
  'refuses wrong arguments: %s %s',
  async (...args) => {
    const refused = await demo(args.filter((argument) => argument !== undefined));
    expect(refused.code).toBe(2);
    expect(refused.errors).toContain('--');
  },
);
