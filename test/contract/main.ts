/**
 * npm run test:contract [-- --operations <regular expression> --cases <n>]: schemathesis (PyPI) sends generated requests
 * to an API of this process, with a valid key and ids that exist, and looks for server errors and undocumented answers.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { routes } from '../../api/routes';
import { startTestApi } from '../support/api';
import { exampleWorld } from '../support/examples';
import globalSetup from '../support/global-setup';
import globalTeardown from '../support/global-teardown';
import { exampleOf, pathParameters, withExample } from '../support/walk';

const SCHEMATHESIS = process.env.SALLY_SCHEMATHESIS ?? 'schemathesis';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { operations: { type: 'string', default: '.' }, cases: { type: 'string', default: '100' } },
  });
  await globalSetup();
  const api = await startTestApi({
    databaseName: 'contract',
    temporal: 'absent',
    env: { PUBLIC_REQUESTS_PER_MINUTE: '100000' },
  });
  const directory = mkdtempSync(join(tmpdir(), 'sally-contract-'));
  try {
    const world = await exampleWorld(api);
    const wanted = new RegExp(values.operations);
    const chosen = withExample(routes).filter((route) => !route.hidden && wanted.test(route.operationId));
    const lines = ['[parameters]', `ws = ${JSON.stringify(world.workspace.id)}`];
    for (const route of chosen) {
      if (pathParameters(route.path).length === 0) continue;
      const { params = {} } = await exampleOf(route, world);
      const known = Object.entries(params).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
      lines.push('', '[[operations]]', `include-operation-id = ${JSON.stringify(route.operationId)}`);
      lines.push(`parameters = { ${known.join(', ')} }`);
    }
    const config = join(directory, 'schemathesis.toml');
    writeFileSync(config, `${lines.join('\n')}\n`);
    return await run(directory, [
      ...['--config-file', config, 'run', `${api.url}/openapi.json`],
      ...['--header', `Authorization: Bearer ${world.workspace.apiKey}`],
      ...['--checks', 'not_a_server_error,status_code_conformance', '--continue-on-failure'],
      ...['--max-examples', values.cases, '--generation-database', 'none'],
      ...chosen.flatMap((route) => ['--include-operation-id', route.operationId]),
    ]);
  } finally {
    rmSync(directory, { recursive: true });
    await api.close();
    await globalTeardown();
  }
}

/** Runs schemathesis in a directory where it may leave what it keeps; resolves with its exit code. */
function run(directory: string, args: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(SCHEMATHESIS, args, { stdio: 'inherit', cwd: directory });
    child.on('error', () =>
      reject(new Error(`${SCHEMATHESIS} is not there: pip install schemathesis==4.32.5, or set SALLY_SCHEMATHESIS`)),
    );
    child.on('close', (code) => resolve(code ?? 1));
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
