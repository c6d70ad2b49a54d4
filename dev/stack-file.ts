import { readFileSync, rmSync } from 'node:fs';
import { z } from 'zod';
import { writePrivateJson } from './secrets';

const pid = z.number().int().nullable();

/** `.sally/stack.json`: where everything is while the stack is up. A part that is not ours has no process id. */
export const stackFileSchema = z.object({
  api: z.string(),
  inbox: z.object({ smtp: z.string(), http: z.string() }).nullable(),
  temporal: z.object({ address: z.string(), ui: z.string(), namespace: z.string() }),
  postgres: z.object({
    /** As sally_api, the role of the API: bound by row-level security. */
    url: z.string(),
    ownerUrl: z.string(),
    workerUrl: z.string(),
  }),
  /** Null until a workspace was made for this start. */
  workspaceId: z.string().nullable(),
  apiKey: z.string().nullable(),
  /** Where each process answers /healthz, /readyz and /metrics. */
  metrics: z.object({ control: z.string(), delivery: z.string() }),
  logs: z.string(),
  pids: z.object({
    launcher: z.number().int(),
    api: pid,
    workers: z.object({ control: pid, delivery: pid }),
    inbox: pid,
    temporal: pid,
    postgres: pid,
  }),
});

export type StackFile = z.infer<typeof stackFileSchema>;

/** Undefined when there is no such file, or it is not one of ours. */
export function readStackFile(file: string): StackFile | undefined {
  try {
    return stackFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

export function writeStackFile(file: string, content: StackFile): void {
  writePrivateJson(file, content);
}

export function removeStackFile(file: string): void {
  rmSync(file, { force: true });
}
