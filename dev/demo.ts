import { parseArgs } from 'node:util';
import { Narrator } from './demo/narrator';
import { emptyResult, tellStory } from './demo/story';
import { type Stack, StackRunningError, stackDirectory, startStack } from './stack';

/** Sample data has a size at which every step can be seen. */
const CONTACTS = { default: 5_000, least: 200, most: 15_000 };

/**
 * `npm run demo`: starts everything, does the main job on sample data, and stays up until Ctrl-C.
 *
 *   --once          stops everything after the job; the last line is the result as JSON
 *   --reset         starts over with empty data
 *   --contacts N    rows of the CSV file (200 to 15,000; default 5,000)
 *
 * Exit codes: 0 everything held (or Ctrl-C afterwards), 1 something did not hold or did not start, 2 wrong arguments,
 * 3 already running, 130 interrupted.
 */
async function main(): Promise<void> {
  const options = readArguments();
  const say = (line: string): void => console.log(line);
  const aborter = new AbortController();
  let stack: Stack | undefined;
  let interrupted = false;
  let told = false;
  const interrupt = (): void => {
    if (interrupted) {
      stack?.kill();
      process.exit(130);
    }
    interrupted = true;
    say('\nStopping: API, workers (they finish what is on the wire), Temporal, Postgres. Ctrl-C again forces it.');
    aborter.abort();
    stack?.stop().then(
      () => process.exit(told ? 0 : 130),
      (error: unknown) => fail(error, 1),
    );
  };
  // With the terminal gone (SIGHUP) there is nobody to tell, but still everything to stop.
  process.stdout.on('error', () => {});
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  // The children are unreferenced; without this nothing would keep us alive while they start and run.
  setInterval(() => {}, 1 << 30);
  const result = emptyResult();
  try {
    say('Starting Postgres, Temporal, a mail inbox, the API and two workers …');
    stack = await startStack({ reset: options.reset, ownInboxOnly: true, signal: aborter.signal, say });
    if (interrupted) {
      await stack.stop();
      process.exit(130);
    }
    const about = { contacts: options.contacts, directory: stackDirectory() };
    await tellStory(new Narrator(process.stdout), stack, about, result);
    told = result.ok;
  } catch (error) {
    // Whoever stopped us ends the process.
    if (interrupted && stack) return;
    if (interrupted) process.exit(130);
    console.error(error instanceof Error ? error.message : error);
    if (stack) console.error(`Logs: ${stack.file().logs}`);
    await stack?.stop();
    if (options.once) say(JSON.stringify(result));
    process.exit(error instanceof StackRunningError ? 3 : 1);
  }
  if (!options.once) {
    say('\nSally stays up. Ctrl-C stops everything; the data stay (--reset starts over).');
    return;
  }
  if (interrupted) return;
  await stack.stop();
  say(JSON.stringify(result));
  process.exit(result.ok ? 0 : 1);
}

function readArguments(): { once: boolean; reset: boolean; contacts: number } {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      reset: { type: 'boolean', default: false },
      contacts: { type: 'string', default: String(CONTACTS.default) },
    },
  });
  const contacts = Number(values.contacts);
  if (!Number.isInteger(contacts) || contacts < CONTACTS.least || contacts > CONTACTS.most) {
    throw new ArgumentError(`--contacts takes a number from ${CONTACTS.least} to ${CONTACTS.most}.`);
  }
  return { once: values.once, reset: values.reset, contacts };
}

class ArgumentError extends Error {
  readonly code = 'ERR_PARSE_ARGS_VALUE';
}

function fail(error: unknown, code: number): never {
  console.error(error instanceof Error ? error.message : error);
  process.exit(code);
}

main().catch((error: unknown) => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  fail(error, code.startsWith('ERR_PARSE_ARGS') ? 2 : 1);
});
