import { parseArgs } from 'node:util';
import { startInbox } from './inbox';

/** `inbox-main.ts --smtp-port N --http-port N`: the inbox as a process of its own. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { 'smtp-port': { type: 'string', default: '1025' }, 'http-port': { type: 'string', default: '8025' } },
  });
  const inbox = await startInbox({ smtpPort: Number(values['smtp-port']), httpPort: Number(values['http-port']) });
  console.log(`The inbox takes mail at ${inbox.smtpUrl} and shows it at ${inbox.httpUrl}`);
  const stop = (): void => {
    inbox.close().then(() => process.exit(0));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
