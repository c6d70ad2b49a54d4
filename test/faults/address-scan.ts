import { readFileSync } from 'node:fs';
import { createTemporalClient } from '../../platform/temporal';

/** An e-mail address; not the `pid@host` of a worker's identity, a package version, or protobuf's "@type". */
const ADDRESS = /[\w.+-]+@(?!type\.googleapis\.com)[\w-]+(\.[\w-]+)*\.[a-z]{2,}/gi;

/** Addresses in all that Temporal has kept of all workflows: histories, memos, attributes, heartbeats. */
export async function addressesInTemporal(
  address: string,
  namespace = 'default',
): Promise<{ workflows: number; found: string[] }> {
  const temporal = createTemporalClient({ address, namespace });
  const found = new Set<string>();
  let workflows = 0;
  try {
    for await (const { workflowId, runId } of temporal.client.workflow.list()) {
      workflows += 1;
      const handle = temporal.client.workflow.getHandle(workflowId, runId);
      collect(await handle.fetchHistory(), found);
      // Memo, search attributes, pending activities with their heartbeat details and last failures.
      collect((await handle.describe()).raw, found);
    }
  } finally {
    await temporal.close();
  }
  return { workflows, found: [...found] };
}

/** Addresses in log files. */
export function addressesInLogs(files: string[]): { octets: number; found: string[] } {
  const found = new Set<string>();
  let octets = 0;
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    octets += text.length;
    for (const [address] of text.matchAll(ADDRESS)) found.add(address);
  }
  return { octets, found: [...found] };
}

/** Walks a message of the API; payloads are bytes that hold JSON. */
function collect(value: unknown, found: Set<string>): void {
  if (typeof value === 'string') {
    for (const [address] of value.matchAll(ADDRESS)) found.add(address);
  } else if (value instanceof Uint8Array) {
    collect(Buffer.from(value).toString('utf8'), found);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) {
      // pid@host of the process that did it, as the SDK writes it.
      if (key !== 'identity' && key !== 'lastWorkerIdentity') collect(part, found);
    }
  }
}
