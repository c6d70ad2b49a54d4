/**
 * Ends the processes of a stack when the process that started them has died without doing so itself (kill -9, a
 * closed terminal, an out-of-memory kill).
 *
 * It reads commands, one JSON object a line, from its standard input:
 *   {"op":"watch","pid":123,"order":1,"signal":"SIGTERM","graceMs":30000}
 *   {"op":"forget","pid":123}
 *   {"op":"bye"}       the starter has stopped everything in order; nothing is left to do
 * An end of the input without "bye" means that the starter is gone: every watched process gets its signal, the lowest
 * order first, and SIGKILL after its grace period. The pipe is closed by the operating system, so no polling and no
 * co-operation of the dying process is needed. Plain JavaScript, so that it starts in 40 ms and outlives a broken tree.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** @type {Map<number, {pid: number, order: number, signal: string, graceMs: number}>} */
const watched = new Map();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in the meantime.
  }
}

async function end({ pid, signal, graceMs }) {
  send(pid, signal);
  // A stopped process (SIGSTOP, as fault tests do) would never see its signal.
  send(pid, 'SIGCONT');
  const deadline = Date.now() + graceMs;
  while (alive(pid) && Date.now() < deadline) await sleep(50);
  if (alive(pid)) send(pid, 'SIGKILL');
}

async function endAll() {
  const orders = [...new Set([...watched.values()].map((entry) => entry.order))].sort((a, b) => a - b);
  for (const order of orders) {
    await Promise.all([...watched.values()].filter((entry) => entry.order === order).map(end));
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const command = JSON.parse(line);
  if (command.op === 'watch') watched.set(command.pid, command);
  else if (command.op === 'forget') watched.delete(command.pid);
  else if (command.op === 'bye') process.exit(0);
});
lines.on('close', () => {
  endAll().then(() => process.exit(0));
});
