import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { workflowBundle } from '../support/stack';

/**
 * Histories of earlier commits, one folder per workflow type; never regenerated together with the change that they
 * are to guard. A workflow that goes another way than its history needs `patched()`.
 */
const HISTORIES = join(__dirname, '..', 'histories');
const recorded = readdirSync(HISTORIES).flatMap((type) =>
  readdirSync(join(HISTORIES, type))
    .filter((name) => name.endsWith('.json'))
    .map((name) => [type, name] as const),
);

test.each(recorded)('%s/%s replays', async (type, name) => {
  const history: unknown = JSON.parse(readFileSync(join(HISTORIES, type, name), 'utf8'));
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, `${type}/${name}`);
});
