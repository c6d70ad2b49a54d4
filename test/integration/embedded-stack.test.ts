import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { Client } from 'pg';
import { isProcessAlive, tryLock, withLock } from '../../dev/file-lock';
import { startInbox } from '../../dev/inbox';
import { findPort, isPortFree } from '../../dev/ports';
import { type EmbeddedPostgres, removePostgresData, startPostgres } from '../../dev/postgres';
import { ProcessGroup } from '../../dev/processes';
import { openSecrets } from '../../dev/secrets';
import { Supervisor } from '../../dev/service';
import { StackRunningError, startStack } from '../../dev/stack';
import { startTemporal } from '../../dev/temporal';
import { PROJECT, tsxArguments } from '../../dev/tsx';
import { sleep, until } from '../support/until';

let folder: string;
let processes: ProcessGroup;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sally-test-'));
  processes = new ProcessGroup(join(folder, 'logs'));
});
afterEach(async () => {
  await processes.stopAll();
  for (const name of ['postgres', 'second']) removePostgresData(join(folder, name));
  rmSync(folder, { recursive: true, force: true });
});

async function query(server: EmbeddedPostgres, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: server.adminUrl });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

describe('embedded Postgres', () => {
  // One cluster for these tests: initdb takes most of their time.
  let shared: string;
  const start = (): Promise<EmbeddedPostgres> => startPostgres({ processes, dataDir: join(shared, 'postgres') });
  beforeAll(() => {
    shared = mkdtempSync(join(tmpdir(), 'sally-test-'));
  });
  afterAll(() => {
    removePostgresData(join(shared, 'postgres'));
    rmSync(shared, { recursive: true, force: true });
  });

  test('is safe, speaks UTF-8 and listens on loopback only; data survive a stop, a restart and a crash', async () => {
    const server = await start();
    const [facts] = await query(
      server,
      `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
        current_setting('synchronous_commit') AS commit, current_setting('listen_addresses') AS host,
        current_setting('unix_socket_directories') AS sockets, current_setting('server_encoding') AS encoding,
        (SELECT datlocale FROM pg_database WHERE datname = 'postgres') AS locale, lower('ÀÉ') AS lowered`,
    );
    expect(facts).toEqual({
      fsync: 'on',
      pages: 'on',
      commit: 'on',
      host: '127.0.0.1',
      sockets: '',
      encoding: 'UTF8',
      locale: 'C.UTF-8',
      lowered: 'àé',
    });
    await query(server, 'CREATE TABLE kept (n int)');
    await query(server, 'INSERT INTO kept VALUES (1)');
    const { port } = server;
    await server.restart();
    await query(server, 'INSERT INTO kept VALUES (2)');
    await server.crash();
    await expect(query(server, 'SELECT 1')).rejects.toThrow();
    await server.start();
    expect(server.port).toBe(port);
    expect(await query(server, 'SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
    await server.stop();
    const again = await start();
    expect(await query(again, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 2 }]);
    expect(readFileSync(again.current().logFile, 'utf8')).toContain('database system was not properly shut down');
  });

  test('its password is random, in a private file; a wrong one is refused', async () => {
    const server = await start();
    const url = new URL(server.adminUrl);
    expect(url.password).toMatch(/^[\w-]{32}$/);
    url.password = 'wrong';
    const client = new Client({ connectionString: url.toString() });
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
    expect(statSync(join(server.clusterDirectory, '..', 'password')).mode & 0o077).toBe(0);
  });

  test('a stale postmaster.pid with a living process of somebody else does not block a start', async () => {
    const server = await start();
    const pidFile = join(server.clusterDirectory, 'postmaster.pid');
    const lines = readFileSync(pidFile, 'utf8').split('\n');
    await server.stop();
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    writeFileSync(pidFile, [stranger.pid, ...lines.slice(1)].join('\n'));
    try {
      await server.start();
      expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    } finally {
      stranger.kill();
    }
  });

  test('one cluster is not run twice', async () => {
    await start();
    await expect(start()).rejects.toThrow('already run by process');
  });

  test('takes another port when its first choice is in use', async () => {
    const first = await start();
    const second = await startPostgres({
      processes,
      dataDir: join(folder, 'second'),
      port: first.port,
      durable: false,
    });
    expect(second.port).not.toBe(first.port);
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('a frozen server answers again when thawed', async () => {
    const server = await start();
    await server.freeze();
    let answered = false;
    const answer = query(server, 'SELECT 1 AS one').finally(() => {
      answered = true;
    });
    await sleep(300);
    expect(answered).toBe(false);
    await server.thaw();
    expect(await answer).toEqual([{ one: 1 }]);
  });
});

describe('embedded Temporal', () => {
  test('has namespace, retention and search attributes; its file survives a restart at the same address', async () => {
    const temporal = await startTemporal({ processes, dbFile: join(folder, 'temporal.db'), headless: true });
    const { address } = temporal;
    const describe = async (): Promise<{ retentionDays: number; attributes: string[] }> => {
      const connection = await Connection.connect({ address });
      try {
        const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
        const known = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
        return {
          retentionDays: Number(config?.workflowExecutionRetentionTtl?.seconds) / 86_400,
          attributes: Object.keys(known.customAttributes ?? {}),
        };
      } finally {
        await connection.close();
      }
    };
    const wanted = {
      retentionDays: 7,
      attributes: expect.arrayContaining(['SallyWorkspace', 'SallyArea', 'SallyEntity', 'SallyStatus']),
    };
    expect(await describe()).toEqual(wanted);
    await temporal.restart();
    expect(temporal.address).toBe(address);
    expect(await describe()).toEqual(wanted);
  });
});

describe('processes', () => {
  /** A process that ends on SIGTERM, slowly. */
  const child = (name: string, order: number, log: string) =>
    processes.start({
      name,
      order,
      command: process.execPath,
      args: [
        '-e',
        `const fs = require('fs'); process.on('SIGTERM', () => setTimeout(() => { fs.appendFileSync(${JSON.stringify(log)}, '${name} '); process.exit(0) }, 50)); setInterval(() => {}, 1000); console.log('up')`,
      ],
    });

  test('end in their order', async () => {
    const log = join(folder, 'ends');
    const started = [await child('last', 3, log), await child('first', 1, log), await child('middle', 2, log)];
    for (const managed of started) await until('it is up', () => managed.logTail().includes('up'));
    await processes.stopAll();
    expect(readFileSync(log, 'utf8')).toBe('first middle last ');
    await expect(child('late', 1, log)).rejects.toThrow('being stopped');
  });

  test('end, Postgres too, when the process that started them is killed', async () => {
    const script = join(folder, 'starter.ts');
    writeFileSync(
      script,
      `import { ProcessGroup } from ${JSON.stringify(join(PROJECT, 'dev/processes'))};
       import { startPostgres } from ${JSON.stringify(join(PROJECT, 'dev/postgres'))};
       const processes = new ProcessGroup(${JSON.stringify(join(folder, 'logs'))});
       setInterval(() => {}, 1000);
       (async () => {
         const server = await startPostgres({ processes, dataDir: ${JSON.stringify(join(folder, 'postgres'))}, durable: false });
         const other = await processes.start({ name: 'other', order: 1, command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] });
         console.log(JSON.stringify([server.pid, other.pid]));
       })();`,
    );
    const starter = spawn(process.execPath, tsxArguments(script), {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: PROJECT,
    });
    const line = await new Promise<string>((resolve) => starter.stdout.once('data', (data) => resolve(String(data))));
    const pids: unknown = JSON.parse(line);
    if (!Array.isArray(pids)) throw new Error(`unexpected ${line}`);
    expect(pids.map(isProcessAlive)).toEqual([true, true]);
    starter.kill('SIGKILL');
    await until('all have ended', () => pids.every((pid) => !isProcessAlive(pid)));
  });

  test('are started again at the same address when they die', async () => {
    const server = await startPostgres({ processes, dataDir: join(folder, 'postgres'), durable: false });
    let restarts = 0;
    const supervisor = new Supervisor(
      () => {},
      () => {
        restarts += 1;
      },
    );
    supervisor.watch(server);
    const { pid } = server;
    process.kill(pid, 'SIGKILL');
    await until('it was started again', () => restarts === 1);
    expect(server.pid).not.toBe(pid);
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    supervisor.stop();
  });
});

describe('one stack per folder', () => {
  test('a second start is refused and says who runs it', async () => {
    const unlock = tryLock(join(folder, 'launcher.lock'));
    expect(unlock).toBeDefined();
    await expect(startStack({ directory: folder })).rejects.toThrow(StackRunningError);
    await expect(startStack({ directory: folder })).rejects.toThrow(`process ${process.pid}`);
    unlock?.();
    expect(existsSync(join(folder, 'launcher.lock'))).toBe(false);
  });

  test('sample data refuse another mail transport', async () => {
    process.env.SMTP_HOST = 'relay.example';
    try {
      await expect(startStack({ directory: folder, ownInboxOnly: true })).rejects.toThrow('built-in inbox');
    } finally {
      delete process.env.SMTP_HOST;
    }
  });

  test('a lock of a dead process is free; a held one is waited for', async () => {
    const path = join(folder, 'lock');
    writeFileSync(path, '99999999\n');
    const order: string[] = [];
    const work = (name: string) => async () => {
      order.push(`${name} in`);
      await sleep(60);
      order.push(`${name} out`);
    };
    await Promise.all([withLock(path, work('a')), withLock(path, work('b'))]);
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out']);
  });

  test('secrets are made once, private, and a damaged file is an error', () => {
    const file = join(folder, 'secrets.json');
    const secrets = openSecrets(file);
    expect(secrets.secrets).toMatch(/^k1:[\w-]{43}$/);
    expect(openSecrets(file)).toEqual(secrets);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    writeFileSync(file, '{}');
    expect(() => openSecrets(file)).toThrow('damaged');
  });

  test('a port that is in use is not handed out', async () => {
    const inbox = await startInbox({ smtpPort: 0, httpPort: 0 });
    const port = Number(new URL(inbox.smtpUrl).port);
    expect(await isPortFree(port)).toBe(false);
    expect(await findPort(port)).not.toBe(port);
    await inbox.close();
    // Any connection of this machine may have it for a moment.
    await until('it is free', () => isPortFree(port));
  });
});
