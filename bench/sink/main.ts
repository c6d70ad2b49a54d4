import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startSink } from './server';

/**
 * The sink as a process:
 * `node --import tsx bench/sink/main.ts --port 2600 --control-port 2601 --latency 50 --pace 500 --drop-every 100`.
 * Prints one JSON line with its ports when it listens; ports default to free ones. Ends on SIGTERM.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'control-port': { type: 'string', default: '0' },
    latency: { type: 'string', default: '0' },
    pace: { type: 'string', default: '0' },
    'drop-every': { type: 'string', default: '0' },
    'drop-at': { type: 'string', default: 'before-dot-answer' },
  },
});

const options = z
  .object({
    port: z.coerce.number().int().min(0).max(65_535),
    'control-port': z.coerce.number().int().min(0).max(65_535),
    latency: z.coerce.number().min(0),
    pace: z.coerce.number().min(0),
    'drop-every': z.coerce.number().int().min(0),
    'drop-at': z.enum(['before-dot-answer', 'after-accept']),
  })
  .parse(values);

startSink(
  { port: options.port, controlPort: options['control-port'] },
  {
    latencyMs: options.latency,
    pacePerSecond: options.pace,
    dropEvery: options['drop-every'],
    dropAt: options['drop-at'],
  },
).then(
  (sink) => {
    console.log(JSON.stringify({ port: sink.port, controlPort: sink.controlPort, pid: process.pid }));
    process.once('SIGTERM', () => void sink.stop().then(() => process.exit(0)));
  },
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
