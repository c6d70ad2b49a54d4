import { mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { PROJECT } from './tsx';

/** `workflow-bundle-main.ts <target> [workflows file]`: bundles workflows/index.ts by default. See workflow-bundle.ts. */
async function main(target: string, workflowsPath: string): Promise<void> {
  // A source saved while webpack runs must count as newer than the bundle.
  const begun = new Date();
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    workflowInterceptorModules: [join(PROJECT, 'workflows', 'trace-propagation.ts')],
  });
  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, code);
  utimesSync(temporary, begun, begun);
  renameSync(temporary, target);
}

const [target = '', workflowsPath = join(PROJECT, 'workflows', 'index.ts')] = process.argv.slice(2);

main(target, workflowsPath).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
