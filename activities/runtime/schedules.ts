import { ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { REFRESH_AUDIENCES_WORKFLOW } from '../../domain/audiences/contract';
import { ENFORCE_RETENTION_WORKFLOW } from '../../domain/contacts/contract';
import { MAINTAIN_PARTITIONS_WORKFLOW, WATCHDOG_WORKFLOW } from '../../domain/delivery/contract';
import { CONSUME_EVENTS_WORKFLOW } from '../../domain/events/contract';
import { PLAN_SEQUENCES_JOB, PLAN_SEQUENCES_WORKFLOW } from '../../domain/journeys/contract';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import type { Configuration } from '../../platform/config';
import type { Logger } from '../../platform/log';
import type { Client } from '../../platform/temporal';
import { ensureNamespace } from '../../platform/temporal-namespace';

/** One Schedule per duty and installation (design, section 3), declared here and nowhere else. */
interface Duty {
  scheduleId: string;
  workflow: string;
  everySeconds: number;
  note: string;
}

function duties(config: Configuration): Duty[] {
  return [
    {
      scheduleId: 'watchdog',
      workflow: WATCHDOG_WORKFLOW,
      everySeconds: config.WATCHDOG_SECONDS,
      note: 'Finds due work whose workflow is absent and starts it.',
    },
    {
      scheduleId: 'maintain-partitions',
      workflow: MAINTAIN_PARTITIONS_WORKFLOW,
      everySeconds: 24 * 3600,
      note: 'Makes the partitions of the coming months.',
    },
    {
      scheduleId: 'enforce-retention',
      workflow: ENFORCE_RETENTION_WORKFLOW,
      everySeconds: 3600,
      note: 'Removes what has been kept for its time, once per workspace and local date.',
    },
    {
      scheduleId: 'consume-events',
      workflow: CONSUME_EVENTS_WORKFLOW,
      everySeconds: 30,
      note: 'Hands new events to their consumers.',
    },
    {
      scheduleId: 'refresh-audiences',
      workflow: REFRESH_AUDIENCES_WORKFLOW,
      everySeconds: 5 * 60,
      note: 'Calculates the dynamic audiences that are dirty or dependent on time.',
    },
    {
      scheduleId: PLAN_SEQUENCES_JOB,
      workflow: PLAN_SEQUENCES_WORKFLOW,
      everySeconds: 15 * 60,
      note: 'Plans the mail of sequences: each workspace’s new day soon after its midnight, and what became due since.',
    },
  ];
}

const CHECK_MS = 15_000;
const DAY_MS = 24 * 3600 * 1000;

/**
 * Checks by a plain interval that the namespace, its search attributes and all Schedules exist, and makes what is
 * missing: so that losing Temporal's store is harmless. Returns a function that stops it.
 */
export function keepSchedules(client: Client, config: Configuration, log: Logger): () => void {
  let running = false;
  const check = async (): Promise<void> => {
    if (running) return;
    running = true;
    try {
      await ensureNamespace(client, config.TEMPORAL_NAMESPACE);
      for (const duty of duties(config)) await ensureSchedule(client, duty);
    } catch (error) {
      log.warn({ err: error }, 'schedules could not be checked; trying again');
    } finally {
      running = false;
    }
  };
  void check();
  const timer = setInterval(() => void check(), Math.min(CHECK_MS, config.WATCHDOG_SECONDS * 1000));
  return () => clearInterval(timer);
}

async function ensureSchedule(client: Client, duty: Duty): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: duty.scheduleId,
      spec: { intervals: [{ every: duty.everySeconds * 1000 }] },
      action: {
        type: 'startWorkflow',
        workflowType: duty.workflow,
        workflowId: duty.scheduleId,
        taskQueue: CONTROL_TASK_QUEUE,
        args: [],
        staticSummary: duty.note,
        workflowExecutionTimeout: '10 minutes',
      },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: DAY_MS },
      state: { note: duty.note, triggerImmediately: true },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
