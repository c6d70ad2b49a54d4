/**
 * npm run test:contract [-- --cases <n> --seed <n> --operations <regular expression>]: schemathesis (PyPI) sends
 * generated requests to an API of this process and holds its answers to the OpenAPI document: no server error, no
 * undocumented status, content of the documented type and form; and nine of ten operations reach a success. Exit code
 * 75: schemathesis could not be had.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { routes } from '../../api/routes';
import { startTestApi, type TestApi } from '../support/api';
import globalSetup from '../support/global-setup';
import globalTeardown from '../support/global-teardown';
import { withExample } from '../support/walk';
import { makePlan } from './plan';
import { judge } from './report';
import { findSchemathesis, type Tool, ToolIsMissing } from './tool';

const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
];
/** The phase that walks the borders of every schema sends hundreds of requests; a quick run does without. */
const CASES_FOR_BORDERS = 50;
/** What BSD's sysexits.h calls EX_TEMPFAIL. */
const TOOL_IS_MISSING = 75;

const options = z.object({
  cases: z.coerce.number().int().min(1),
  seed: z.coerce.number().int().min(0),
  operations: z.string(),
});
type Options = z.output<typeof options>;

/** Requests depend on nothing but seed and document: not on answers, nor on other operations. */
const CONFIG = `hooks = "HOOKS"
continue-on-failure = true
warnings = false
max-redirects = 0
suppress-health-check = ["all"]
[output.sanitization]
enabled = false
[generation]
database = "none"
with-security-parameters = false
[analysis.constants]
enabled = false
[phases.examples]
operation-ordering = "none"
extra-data-sources = { responses = false }
[phases.coverage]
operation-ordering = "none"
unexpected-methods = []
extra-data-sources = { responses = false }
[phases.fuzzing]
operation-ordering = "none"
extra-data-sources = { responses = false }
error-feedback = { enabled = false }
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { cases: { type: 'string' }, seed: { type: 'string' }, operations: { type: 'string' } },
  });
  const chosen = options.parse({ cases: 100, seed: randomInt(2 ** 31), operations: '.', ...values });
  const tool = await findSchemathesis(say);
  await globalSetup();
  try {
    const api = await startTestApi({ databaseName: 'contract', env: { PUBLIC_REQUESTS_PER_MINUTE: '100000' } });
    // Limits are tested elsewhere; here they would only hide what is behind them.
    const forget = setInterval(() => void api.db.query('DELETE FROM rate_limit_counters').catch(() => {}), 250);
    const directory = mkdtempSync(join(tmpdir(), 'sally-contract-'));
    try {
      return await test(api, tool, chosen, directory);
    } finally {
      clearInterval(forget);
      rmSync(directory, { recursive: true });
      await api.close();
    }
  } finally {
    await globalTeardown();
  }
}

async function test(api: TestApi, tool: Tool, chosen: Options, directory: string): Promise<number> {
  const { cases, seed } = chosen;
  const wanted = new RegExp(chosen.operations);
  const list = withExample(routes).filter((route) => !route.hidden && wanted.test(route.operationId));
  if (list.length === 0) throw new Error(`No operation's id fits ${chosen.operations}`);
  say(`Seed ${seed}, ${cases} generated requests and more to each of ${list.length} operations`);
  const plan = await makePlan(api, list, seed);
  const file = (name: string): string => join(directory, name);
  writeFileSync(file('plan.json'), JSON.stringify(plan));
  writeFileSync(file('cases.ndjson'), '');
  writeFileSync(file('schemathesis.toml'), CONFIG.replace('HOOKS', join(__dirname, 'hooks.py')));
  writeFileSync(file('openapi.json'), JSON.stringify(await documentOf(api, Object.keys(plan.operations))));
  const { code, output } = await run(tool, directory, [
    ...['--config-file', file('schemathesis.toml'), 'run', file('openapi.json'), '--url', api.url],
    ...['--phases', cases < CASES_FOR_BORDERS ? 'examples,fuzzing' : 'examples,coverage,fuzzing'],
    ...['--report', 'json', '--report-json-path', file('report.json')],
    ...['--checks', CHECKS.join(','), '--max-examples', String(cases), '--seed', String(seed), '--no-color'],
  ]);
  const repeat = (operation: string): string =>
    `npm run test:contract -- --seed ${seed} --cases ${cases} --operations '^${operation}$'`;
  const verdict = judge(readFileSync(file('cases.ndjson'), 'utf8'), Object.keys(plan.operations), repeat);
  // What is no answer of the API: a hook that failed, a schema that it cannot read, a connection that was cut.
  const broke = (code !== 0 && verdict.ok) || errorsIn(file('report.json'));
  if (broke) say(`${output}\nschemathesis ended with code ${code}`);
  say(`${verdict.text}\nSeed ${seed}: ${verdict.ok && !broke ? 'the API keeps its document' : 'FAILED'}`);
  return verdict.ok && !broke ? 0 : 1;
}

const reportForm = z.object({ errors: z.array(z.unknown()) });

/** Whether schemathesis says in its report that it met errors, or left none. */
function errorsIn(file: string): boolean {
  return !existsSync(file) || reportForm.parse(JSON.parse(readFileSync(file, 'utf8'))).errors.length > 0;
}

const documentForm = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });
const operationForm = z.looseObject({ operationId: z.string() });

/** The document as the API serves it, with the chosen operations only. */
async function documentOf(api: TestApi, operations: string[]): Promise<unknown> {
  const { body } = await api.request('GET', '/openapi.json');
  const document = documentForm.parse(body);
  const isChosen = (operation: unknown): boolean =>
    operations.includes(operationForm.safeParse(operation).data?.operationId ?? '');
  const paths = Object.entries(document.paths).flatMap(([path, methods]) => {
    const kept = Object.entries(methods).filter(([, operation]) => isChosen(operation));
    return kept.length > 0 ? [[path, Object.fromEntries(kept)] as const] : [];
  });
  return { ...document, paths: Object.fromEntries(paths) };
}

/** Runs schemathesis in a directory where it may leave what it keeps; says now and then how far it is. */
function run(tool: Tool, directory: string, args: string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool.command, [...tool.args, ...args], {
      cwd: directory,
      env: {
        ...process.env,
        ...tool.env,
        SALLY_CONTRACT_PLAN: join(directory, 'plan.json'),
        SALLY_CONTRACT_CASES: join(directory, 'cases.ndjson'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
    const progress = setInterval(() => {
      const lines = readFileSync(join(directory, 'cases.ndjson'), 'utf8').split('\n').length - 1;
      say(`  ${lines} answers looked at`);
    }, 30_000);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(progress);
      resolve({ code, output: Buffer.concat(output).toString('utf8') });
    });
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof ToolIsMissing ? TOOL_IS_MISSING : 1;
  },
);
