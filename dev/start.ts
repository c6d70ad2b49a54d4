import { parseArgs } from 'node:util';
import { type Stack, StackRunningError, startStack } from './stack';

/**
 * `npm start`: runs the platform until Ctrl-C. `--reset` starts over with empty data.
 * Exit codes: 0 stopped by Ctrl-C, 1 a part did not start, 2 wrong arguments, 3 already running, 130 forced.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { reset: { type: 'boolean', default: false } } });
  const say = (line: string): void => console.log(line);
  const aborter = new AbortController();
  let stack: Stack | undefined;
  let interrupted = false;
  const interrupt = (): void => {
    if (interrupted) {
      // The second time: nobody waits for drains any more. Before the stack was up, the watchdog ends its parts.
      stack?.kill();
      process.exit(130);
    }
    interrupted = true;
    say('\nStopping: API, workers (they finish what is on the wire), Temporal, Postgres. Ctrl-C again forces it.');
    aborter.abort();
    stack?.stop().then(
      () => process.exit(0),
      (error: unknown) => fail(error, 1),
    );
  };
  // With the terminal gone (SIGHUP) there is nobody to tell, but still everything to stop.
  process.stdout.on('error', () => {});
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  // The children are unreferenced; without this nothing would keep us alive while they start and run.
  setInterval(() => {}, 1 << 30);
  try {
    stack = await startStack({ reset: values.reset, signal: aborter.signal, say });
  } catch (error) {
    if (interrupted) process.exit(0);
    throw error;
  }
  say(describe(stack));
}

function describe(stack: Stack): string {
  const lines = ['Sally is up. Everything listens on this machine only.', ''];
  const row = (name: string, value: string): void => void lines.push(`  ${name.padEnd(14)} ${value}`);
  row('API', `${stack.apiUrl}  (documents: ${stack.apiUrl}/docs)`);
  row('Mail inbox', stack.inboxUrl ? `${stack.inboxUrl}  (${stack.smtpUrl})` : 'none: mail leaves by your SMTP_URL');
  row('Temporal UI', stack.temporalUi);
  row('Temporal', `${stack.temporalAddress}, namespace ${stack.namespace}`);
  row('Logs', stack.file().logs);
  lines.push(
    '',
    'The first owner: npm run admin -- create-owner --email you@example.org --name "You" --workspace "Yours"',
  );
  lines.push('Ctrl-C stops everything; the data stay (--reset starts over).');
  return lines.join('\n');
}

function fail(error: unknown, code: number): never {
  console.error(error instanceof Error ? error.message : error);
  process.exit(code);
}

main().catch((error: unknown) => fail(error, exitCodeOf(error)));

function exitCodeOf(error: unknown): number {
  if (error instanceof StackRunningError) return 3;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
}
