/** Named moments at which a test kills the process (SALLY_FAILPOINT); nothing happens otherwise. */
export type Failpoint = 'after-claim-commit' | 'before-settle';

const wanted = process.env.SALLY_FAILPOINT;
let reached = 0;

/** `SALLY_FAILPOINT=before-settle:100` kills the process, as kill -9 would, when the point is reached the 100th time. */
export function reachFailpoint(point: Failpoint): void {
  if (wanted === undefined) return;
  const [name, times] = wanted.split(':');
  if (name !== point) return;
  reached += 1;
  if (reached >= Number(times ?? 1)) process.kill(process.pid, 'SIGKILL');
}
