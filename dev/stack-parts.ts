import { findPort, LOOPBACK } from './ports';
import { startPostgres } from './postgres';
import { answersOk, type ProcessGroup, STOP_ORDER, waitUntilReady } from './processes';
import type { StackSecrets } from './secrets';
import { type Service, startOnPort } from './service';
import type { StackFile } from './stack-file';
import { type PreparedDatabase, prepareDatabase } from './stack-postgres';
import { DEFAULT_NAMESPACE, startTemporal } from './temporal';
import { PROJECT, tsxArguments } from './tsx';

/** First choices; a free port nearby is taken when one is in use. */
const PORTS = { inboxSmtp: 1025, inboxHttp: 8025, temporal: 7233, temporalUi: 8233, postgres: 54329 };

/** DATABASE_URL, else our own Postgres; with roles, database and migrations. */
export async function openPostgres(
  dataDir: string,
  processes: ProcessGroup,
  secrets: StackSecrets,
): Promise<{ database: PreparedDatabase; service: Service | null }> {
  const { DATABASE_URL } = process.env;
  if (DATABASE_URL) return { database: await prepareDatabase(DATABASE_URL, secrets.passwords), service: null };
  const postgres = await startPostgres({ processes, dataDir, port: PORTS.postgres });
  return { database: await prepareDatabase(postgres.adminUrl, secrets.passwords), service: postgres };
}

/** TEMPORAL_ADDRESS, else our own dev server. */
export async function openTemporal(
  dbFile: string,
  processes: ProcessGroup,
  say: (line: string) => void,
): Promise<{ addresses: StackFile['temporal']; service: Service | null }> {
  const { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_UI_URL } = process.env;
  if (TEMPORAL_ADDRESS) {
    const namespace = TEMPORAL_NAMESPACE || DEFAULT_NAMESPACE;
    return {
      addresses: { address: TEMPORAL_ADDRESS, ui: TEMPORAL_UI_URL || 'http://localhost:8080', namespace },
      service: null,
    };
  }
  const ports = { port: PORTS.temporal, uiPort: PORTS.temporalUi };
  const temporal = await startTemporal({ processes, dbFile, ...ports, say });
  const { address, uiUrl: ui, namespace } = temporal;
  return { addresses: { address, ui, namespace }, service: temporal };
}

/** SMTP_URL or SMTP_HOST (then there are no addresses to tell), else our own inbox. */
export async function openMail(
  processes: ProcessGroup,
): Promise<{ addresses: StackFile['inbox']; service: Service | null }> {
  if (process.env.SMTP_URL || process.env.SMTP_HOST) return { addresses: null, service: null };
  let smtpPort = 0;
  const service = await startOnPort({
    name: 'inbox',
    preferred: PORTS.inboxHttp,
    launch: async (port) => {
      smtpPort ||= await findPort(PORTS.inboxSmtp);
      const args = tsxArguments('dev/inbox-main.ts', '--smtp-port', String(smtpPort), '--http-port', String(port));
      const managed = await processes.start({
        name: 'inbox',
        command: process.execPath,
        args,
        cwd: PROJECT,
        order: STOP_ORDER.inbox,
      });
      await waitUntilReady(managed, () => answersOk(`http://${LOOPBACK}:${port}/readyz`));
      return managed;
    },
  });
  return {
    addresses: { smtp: `smtp://${LOOPBACK}:${smtpPort}`, http: `http://${LOOPBACK}:${service.port}` },
    service,
  };
}
