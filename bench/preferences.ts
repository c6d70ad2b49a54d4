import { get } from 'node:http';
import { findPort } from '../dev/ports';
import { preferencesUrl } from '../domain/consent';
import { Keyring } from '../platform/crypto';
import { sql } from '../platform/postgres';
import { ApiStack, costPerUnit } from './api-stack';
import { startLoad, startReference } from './load/client';
import type { LoadReport } from './load/load';
import { conditions, peakMemoryOf } from './measure';

/** Budget: pages per second of one API process. */
const BUDGET = 500;
const CONNECTIONS = 16;
const CONTACTS = 10_000;
const CATEGORIES = 5;
const ROUNDS = 3;
const WARM_UP = 200;

const FORMS = {
  page: { Accept: 'text/html,application/xhtml+xml', 'Accept-Language': 'de-AT,de;q=0.9,en;q=0.5' },
  json: { Accept: 'application/json', 'Accept-Language': 'en' },
};
type Form = keyof typeof FORMS;

interface Round extends LoadReport {
  cost: ReturnType<typeof costPerUnit>;
}

/** Categories, and choices of every second contact. */
async function addPreferences(stack: ApiStack): Promise<void> {
  const { workspaceId } = stack;
  await stack.db.query(sql`
    INSERT INTO preference_categories (workspace_id, key, name, description)
    SELECT ${workspaceId}, 'category-' || n, 'Category ' || n, 'What is new in matter number ' || n
    FROM generate_series(1, ${CATEGORIES}::int) AS n`);
  await stack.db.query(sql`
    INSERT INTO category_preferences (workspace_id, contact_id, category_id, subscribed, frequency, source)
    SELECT ${workspaceId}, c.id, k.id, false, 'WEEKLY', 'PREFERENCE_CENTER'
    FROM (SELECT id, row_number() OVER () AS n FROM contacts WHERE workspace_id = ${workspaceId}) AS c
    CROSS JOIN preference_categories k WHERE k.workspace_id = ${workspaceId} AND c.n % 2 = 0`);
  await stack.db.query('ANALYZE category_preferences');
}

/** How long a page is, asked over a connection of its own. */
function pageBytes(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path, headers: FORMS.page, agent: false }, (answer) => {
      answer.resume();
      if (answer.statusCode === 200) resolve(Number(answer.headers['content-length']));
      else reject(new Error(`the page answers ${answer.statusCode}`));
    }).on('error', reject);
  });
}

function best(rounds: readonly Round[]): Round {
  return rounds.reduce((left, right) => (right.perSecond > left.perSecond ? right : left));
}

/** The preference centre as page and as JSON from one API process. `size`: requests per round and form. */
export async function benchPreferences(options: { size?: number; profile?: boolean }): Promise<void> {
  const before = conditions();
  const size = options.size ?? 10_000;
  const stack = await ApiStack.start('bench preferences', options.profile ?? false);
  const port = await findPort();
  let reference: { kill(): void } | null = null;
  try {
    const contacts = await stack.addContacts(CONTACTS);
    await addPreferences(stack);
    const keyring = new Keyring(stack.secrets.SALLY_SECRETS);
    const paths = contacts.map(
      (contactId) =>
        new URL(preferencesUrl(keyring, stack.api.url, { workspaceId: stack.workspaceId, contactId })).pathname,
    );
    const bytes = await pageBytes(stack.port, paths[1] ?? '');
    reference = startReference(port, { status: 200, bytes });
    const load = { connections: CONNECTIONS, paths, status: 200, requests: size, warmUp: WARM_UP, tell: false };
    const rounds: Record<Form, Round[]> = { page: [], json: [] };
    const bare: LoadReport[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const form of ['page', 'json'] as const) {
        const start = await stack.used();
        const report = await startLoad({ ...load, port: stack.port, headers: FORMS[form] }).done;
        if (report.wrong > 0) throw new Error(`${report.wrong} wrong answers`);
        rounds[form].push({ ...report, cost: costPerUnit(start, await stack.used(), size + WARM_UP) });
      }
      bare.push(await startLoad({ ...load, port }).done);
      console.log(
        `round ${round + 1}: page ${rounds.page.at(-1)?.perSecond}/s, JSON ${rounds.json.at(-1)?.perSecond}/s, bare ${bare.at(-1)?.perSecond}/s`,
      );
    }
    const page = best(rounds.page);
    const json = best(rounds.json);
    const bareRate = Math.max(...bare.map((round) => round.perSecond));
    console.log(
      `One API process shows ${page.perSecond} preference pages/s over ${CONNECTIONS} connections, p99 ${page.p99Ms} ms, ` +
        `and ${json.perSecond}/s as JSON, p99 ${json.p99Ms} ms (node:http with ${bytes} constant bytes: ${bareRate}/s).`,
    );
    console.log(
      JSON.stringify({
        name: 'preferences',
        value: page.perSecond,
        unit: 'pages/s',
        reference: bareRate,
        ratio: Math.round((page.perSecond / bareRate) * 1_000) / 1_000,
        details: {
          met: page.perSecond >= BUDGET && json.perSecond >= BUDGET,
          budget: BUDGET,
          requestsPerRound: size,
          connections: CONNECTIONS,
          pageBytes: bytes,
          categories: CATEGORIES,
          page: { p50Ms: page.p50Ms, p99Ms: page.p99Ms, rounds: rounds.page.map((r) => r.perSecond), cost: page.cost },
          json: {
            perSecond: json.perSecond,
            p50Ms: json.p50Ms,
            p99Ms: json.p99Ms,
            rounds: rounds.json.map((r) => r.perSecond),
            cost: json.cost,
          },
          referenceRounds: bare.map((round) => round.perSecond),
          apiPeakMemoryBytes: peakMemoryOf(stack.api.pid),
          ...before,
        },
      }),
    );
  } finally {
    reference?.kill();
    await stack.stop();
  }
}
