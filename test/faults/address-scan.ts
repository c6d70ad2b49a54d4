import { readFileSync } from 'node:fs';
import { createTemporalClient } from '../../platform/temporal';

/** An e-mail address; not the `pid@host` of a worker's identity, a package version, or protobuf's "@type". */
const ADDRESS = /[\w.+-]+@(?!type\.googleapis\.com)[\w-]+(\.[\w-]+)*\.[a-z]{2,}/gi;

/** The addresses in a text, each once. */
export function addressesIn(text: string): string[] {
  return [...new Set(text.match(ADDRESS))];
}

/** All that Temporal has kept of all workflows, as text: histories, memos, attributes, heartbeats, failures. */
export async function textOfTemporal(address: string, namespace = 'default'): Promise<string> {
  const temporal = createTemporalClient({ address, namespace });
  const texts: string[] = [];
  try {
    for await (const { workflowId, runId } of temporal.client.workflow.list()) {
      const handle = temporal.client.workflow.getHandle(workflowId, runId);
      collect(await handle.fetchHistory(), texts);
      // Memo, search attributes, pending activities with their heartbeat details and last failures.
      collect((await handle.describe()).raw, texts);
    }
  } finally {
    await temporal.close();
  }
  return texts.join('\n');
}

/** The text of log files. */
export function textOfLogs(files: string[]): string {
  return files.map((file) => readFileSync(file, 'utf8')).join('\n');
}

/** Walks a message of the API; payloads are bytes that hold JSON. */
function collect(value: unknown, texts: string[]): void {
  if (typeof value === 'string') {
    texts.push(value);
  } else if (value instanceof Uint8Array) {
    texts.push(Buffer.from(value).toString('utf8'));
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) {
      // pid@host of the process that did it, as the SDK writes it.
      if (key !== 'identity' && key !== 'lastWorkerIdentity') collect(part, texts);
    }
  }
}
