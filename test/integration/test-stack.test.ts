import { tmpdir } from 'node:os';
import { Connection } from '@temporalio/client';
import { Client as PostgresClient } from 'pg';
import { SEARCH_ATTRIBUTES } from '../../dev/temporal';
import {
  durablePostgres,
  processEnvironment,
  spawnApi,
  stopTestProcesses,
  temporalAddress,
  testDatabase,
  testNamespace,
} from '../support/stack';

afterAll(stopTestProcesses);

describe('the stack of the tests', () => {
  test('gives every suite a migrated database of its own', async () => {
    const [first, second] = await Promise.all([testDatabase('Stack test'), testDatabase('Stack test')]);
    expect(first.database).not.toBe(second.database);
    const client = new PostgresClient(first.apiUrl);
    await client.connect();
    const { rows } = await client.query('SELECT current_user AS role, current_database() AS database');
    expect(rows).toEqual([{ role: 'sally_api', database: first.database }]);
    await client.end();
    const owner = new PostgresClient(second.ownerUrl);
    await owner.connect();
    const migrations = await owner.query('SELECT name FROM schema_migrations');
    expect(migrations.rowCount).toBeGreaterThan(0);
    await owner.end();
    await Promise.all([first.drop(), second.drop()]);
    await expect(new PostgresClient(first.apiUrl).connect()).rejects.toMatchObject({ code: '3D000' });
  });

  test('gives every suite a namespace with the search attributes', async () => {
    const namespace = await testNamespace();
    const connection = await Connection.connect({ address: await temporalAddress() });
    const known = await connection.operatorService.listSearchAttributes({ namespace });
    expect(Object.keys(known.customAttributes ?? {})).toEqual(expect.arrayContaining([...SEARCH_ATTRIBUTES]));
    await connection.close();
  });

  test('gives a suite a safe Postgres of its own, whose databases survive a crash', async () => {
    const own = await durablePostgres();
    const database = await own.database('own');
    await own.server.crash();
    await own.server.start();
    const client = new PostgresClient(database.workerUrl);
    await client.connect();
    const { rows } = await client.query(`SELECT current_setting('fsync') AS fsync, current_user AS role`);
    expect(rows).toEqual([{ fsync: 'on', role: 'sally_worker' }]);
    await client.end();
    await own.remove();
  });

  test('starts an API process that is ready, and can be killed and started again', async () => {
    const [database, namespace] = await Promise.all([testDatabase('spawned'), testNamespace()]);
    const env = await processEnvironment({ database, namespace });
    const first = await spawnApi({ env });
    await first.process.kill();
    await expect(fetch(`${first.url}/healthz`)).rejects.toThrow();
    const second = await spawnApi({ env, cwd: tmpdir() });
    expect((await fetch(`${second.url}/healthz`)).status).toBe(200);
    expect((await second.process.stop()).signal).toBeNull();
    await database.drop();
  });
});
