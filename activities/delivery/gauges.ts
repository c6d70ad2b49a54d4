import { breakerGauges, laneGauges, readHorizon } from '../../db/delivery/gauges';
import { mailboxGauges } from '../../db/journeys';
import { breakerState, horizonLag, laneDepth, mailboxMails, oldestDue } from '../../platform/metrics';
import type { Database } from '../../platform/postgres';
import { HorizonWatch } from './horizon-watch';

/** Lasts as long as the process: a lag is known from two looks on. */
const watch = new HorizonWatch();

/** Reads what waits, what is blocked and how far consumers may read into this process's metrics. */
export async function setGauges(db: Database): Promise<void> {
  for (const lane of await laneGauges(db)) {
    laneDepth.set({ lane: lane.kind }, lane.queued);
    oldestDue.set({ lane: lane.kind }, lane.oldestDueSeconds);
  }
  breakerState.reset();
  for (const { providerId, identityId, ipId, state } of await breakerGauges(db)) {
    const labels = { provider_id: providerId, identity_id: identityId ?? '', dedicated_ip_id: ipId ?? '' };
    breakerState.set(labels, state);
  }
  const mailboxes = await mailboxGauges(db);
  mailboxMails.reset();
  for (const { id, ...states } of mailboxes) {
    for (const [state, mails] of Object.entries(states)) mailboxMails.set({ mailbox_id: id, state }, mails);
  }
  horizonLag.set(watch.lagSeconds(await readHorizon(db), performance.now()));
}
