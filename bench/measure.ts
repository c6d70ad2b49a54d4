import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { type Database, one, sql } from '../platform/postgres';

/** CPU seconds of processes so far (Linux; 0 elsewhere). */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // Ended, or no /proc.
    }
  }
  return ticks / 100;
}

/** Most memory that this process has had, in bytes. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1_024;
}

/** Most memory that another process has had, in bytes (Linux; 0 elsewhere). */
export function peakMemoryOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

/** What a figure depends on, for the JSON of each bench. */
export function conditions(): { cpus: number; node: string; loadBefore: number; commit: string | null } {
  const asked = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', cwd: __dirname });
  const commit = asked.status === 0 ? asked.stdout.trim() : null;
  return { cpus: cpus().length, node: process.version, loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10, commit };
}

/** The postmaster and all its children at this moment. */
export function postgresPids(postmaster: number): number[] {
  const pids = [postmaster];
  try {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === postmaster) pids.push(Number(name));
    }
  } catch {
    // A process ended while we looked, or there is no /proc.
  }
  return pids;
}

/** CPU seconds of a postmaster and all its children so far, those that have ended included (Linux; 0 elsewhere). */
export function postgresCpuSeconds(postmaster: number): number {
  let ended = 0;
  try {
    const stat = readFileSync(`/proc/${postmaster}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ended = (Number(fields[13]) + Number(fields[14])) / 100;
  } catch {
    // No /proc.
  }
  return cpuSeconds(postgresPids(postmaster)) + ended;
}

/** Bytes of write-ahead log so far. */
export async function walBytes(db: Database): Promise<number> {
  const row = await one<{ bytes: number }>(db, sql`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes`);
  return row?.bytes ?? 0;
}

/** Figures count only on a database that keeps what it says: refuses any other. */
export async function requireSafeSettings(db: Database): Promise<void> {
  for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit']) {
    const row = await one<{ value: string }>(db, sql`SELECT current_setting(${setting}) AS value`);
    if (row?.value !== 'on') throw new Error(`${setting} must be on`);
  }
}

/** Milliseconds since 1970 with fractions, as the sink tells time. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}
