import { LOOPBACK } from './ports';
import {
  allSettledOrThrow,
  answersOk,
  type ManagedProcess,
  type ProcessGroup,
  STOP_ORDER,
  waitUntilReady,
} from './processes';
import type { StackSecrets } from './secrets';
import { type Service, startOnPort } from './service';
import type { StackFile } from './stack-file';
import type { PreparedDatabase } from './stack-postgres';
import { PROJECT, tsxArguments } from './tsx';

/** First choices; a free port nearby is taken when one is in use. */
const PORTS = { api: 3000, control: 9464, delivery: 9474 };

/** What API and workers are told of the rest. */
export interface Surroundings {
  database: PreparedDatabase;
  secrets: StackSecrets;
  temporal: StackFile['temporal'];
  /** Null: the environment's own SMTP_URL or SMTP_HOST. */
  smtpUrl: string | null;
  /** More variables; they win. */
  env: Record<string, string>;
}

export interface Product {
  api: Service;
  control: Service;
  delivery: Service;
  apiUrl: string;
  metrics: StackFile['metrics'];
}

/** Starts the API and both workers and waits until they are ready. */
export async function startProduct(processes: ProcessGroup, around: Surroundings): Promise<Product> {
  const env = productEnvironment(around);
  const launch = async (
    name: string,
    order: number,
    args: string[],
    port: number,
    variables: Record<string, string>,
  ): Promise<ManagedProcess> => {
    const managed = await processes.start({
      name,
      command: process.execPath,
      args,
      cwd: PROJECT,
      env: { ...env, ...variables },
      order,
      graceMs: 60_000,
    });
    await waitUntilReady(managed, () => answersOk(`http://${LOOPBACK}:${port}/readyz`), 60_000);
    return managed;
  };
  const startApi = startOnPort({
    name: 'api',
    preferred: Number(process.env.PORT) || PORTS.api,
    launch: (port) => {
      const publicUrl = process.env.PUBLIC_URL || `http://${LOOPBACK}:${port}`;
      const variables = { PORT: String(port), HOST: LOOPBACK, PUBLIC_URL: publicUrl };
      return launch('api', STOP_ORDER.api, tsxArguments('server.ts'), port, variables);
    },
  });
  // The workers write links into mail, so they must know where the API really is.
  const api = await startApi;
  const apiUrl = `http://${LOOPBACK}:${api.port}`;
  const publicUrl = process.env.PUBLIC_URL || apiUrl;
  const startWorker = (role: 'control' | 'delivery', preferred: number): Promise<Service & { port: number }> =>
    startOnPort({
      name: `worker-${role}`,
      preferred,
      launch: (port) => {
        const args = tsxArguments('worker.ts', '--role', role);
        return launch(`worker-${role}`, STOP_ORDER.worker, args, port, {
          METRICS_PORT: String(port),
          PUBLIC_URL: publicUrl,
        });
      },
    });
  const [control, delivery] = await allSettledOrThrow([
    startWorker('control', PORTS.control),
    startWorker('delivery', PORTS.delivery),
  ]);
  const metrics = {
    control: `http://${LOOPBACK}:${control.port}`,
    delivery: `http://${LOOPBACK}:${delivery.port}`,
  };
  return { api, control, delivery, apiUrl, metrics };
}

function productEnvironment(around: Surroundings): NodeJS.ProcessEnv {
  // The administrator's URL stays here: no process of the product may have it.
  const { DATABASE_URL, SMTP_URL, SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD, ...inherited } = process.env;
  const mail = around.smtpUrl
    ? {
        SMTP_URL: around.smtpUrl,
        EMAIL_FROM: process.env.EMAIL_FROM || 'hello@sally.example',
        // Providers may point at the inbox, which is on this machine.
        ALLOW_PRIVATE_SMTP: process.env.ALLOW_PRIVATE_SMTP || 'true',
      }
    : { SMTP_URL, SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD };
  return {
    ...inherited,
    ...mail,
    DATABASE_URL_API: around.database.apiUrl,
    DATABASE_URL_WORKER: around.database.workerUrl,
    TEMPORAL_ADDRESS: around.temporal.address,
    TEMPORAL_NAMESPACE: around.temporal.namespace,
    TEMPORAL_UI_URL: around.temporal.ui,
    SALLY_SECRETS: process.env.SALLY_SECRETS || around.secrets.secrets,
    SALLY_SUPPRESSION_KEY: process.env.SALLY_SUPPRESSION_KEY || around.secrets.suppressionKey,
    LOG_LEVEL: process.env.LOG_LEVEL || 'info',
    ...around.env,
  };
}
