import { exampleTemplate } from './content';
import type { Examples } from './example';
import type { World } from './world';

/** A mailbox at a provider that nobody connects to; its id. */
async function aMailbox(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/email-infrastructure/mailboxes', await newMailbox(world));
  return body.id;
}

async function newMailbox(world: World) {
  const provider = await world.call('post', '/workspaces/{ws}/email-infrastructure/providers', {
    name: `Relay ${world.unique()}`,
    provider_type: 'SMTP',
    settings: { host: 'relay.invalid' },
    credentials: { username: 'sally', password: 'secret' },
  });
  return { email: `${world.unique()}@mail.example`, provider_id: provider.body.id, daily_quota: 30 };
}

async function newSequence(world: World) {
  return {
    name: `Sequence ${world.unique()}`,
    purpose: 'newsletter',
    send_window: { start: '09:00', end: '17:00', timezone: 'Europe/Berlin' },
    mailbox_ids: [await aMailbox(world)],
    steps: [
      { wait_days: 0, template_id: (await exampleTemplate(world)).id },
      { wait_days: 2, template_id: (await exampleTemplate(world)).id },
    ],
  };
}

/** A sequence in DRAFT, written by the marketer, so that the owner may approve it; its id. */
async function draftSequence(world: World): Promise<string> {
  const { tokens, id } = world.workspace;
  const body = await newSequence(world);
  const made = await world.api.request('POST', `/workspaces/${id}/sequences`, { token: tokens.marketer, body });
  if (made.status !== 201) throw new Error(made.text);
  return made.body.id;
}

/** A sequence whose messages are approved; its id. */
async function readySequence(world: World): Promise<string> {
  const { tokens, id } = world.workspace;
  const sequenceId = await draftSequence(world);
  const path = `/workspaces/${id}/sequences/${sequenceId}/submit`;
  const submitted = await world.api.request('POST', path, { token: tokens.marketer });
  if (submitted.status !== 200) throw new Error(submitted.text);
  for (const step of submitted.body.steps) {
    const message = `/workspaces/${id}/email-marketing/messages/${step.message_id}`;
    const approved = await world.api.request('POST', `${message}/approve`, { token: tokens.approver, body: {} });
    if (approved.status !== 200) throw new Error(approved.text);
  }
  return sequenceId;
}

async function activeSequence(world: World): Promise<string> {
  const sequenceId = await readySequence(world);
  await world.call('POST', `/workspaces/{ws}/sequences/${sequenceId}/activate`);
  return sequenceId;
}

async function anEnrolment(world: World) {
  const sequence_id = await activeSequence(world);
  const { body } = await world.call('POST', `/workspaces/{ws}/sequences/${sequence_id}/enrolments`, {
    contact_ids: [await world.contact()],
  });
  return { sequence_id, enrolment_id: String(body.enrolment_ids[0]) };
}

/** Requests of the operations of mailboxes and sequences. */
export const journeysExamples: Examples = {
  createMailbox: async (world) => ({ body: await newMailbox(world) }),
  listMailboxes: () => ({}),
  getMailbox: async (world) => ({ params: { mailbox_id: await aMailbox(world) } }),
  updateMailbox: async (world) => ({ params: { mailbox_id: await aMailbox(world) }, body: { daily_quota: 50 } }),
  deleteMailbox: async (world) => ({ params: { mailbox_id: await aMailbox(world) } }),
  getMailboxSchedule: async (world) => ({ params: { mailbox_id: await aMailbox(world) } }),
  getQuota: () => ({}),
  createSequence: async (world) => ({ body: await newSequence(world) }),
  listSequences: () => ({}),
  getSequence: async (world) => ({ params: { sequence_id: await draftSequence(world) } }),
  updateSequence: async (world) => ({ params: { sequence_id: await draftSequence(world) }, body: { name: 'Welcome' } }),
  submitSequence: async (world) => ({ params: { sequence_id: await draftSequence(world) } }),
  activateSequence: async (world) => ({ params: { sequence_id: await readySequence(world) } }),
  pauseSequence: async (world) => ({ params: { sequence_id: await activeSequence(world) } }),
  deleteSequence: async (world) => ({ params: { sequence_id: await draftSequence(world) } }),
  enrolContacts: async (world) => ({
    params: { sequence_id: await activeSequence(world) },
    body: { contact_ids: [await world.contact()] },
  }),
  forecastSequence: async (world) => ({ params: { sequence_id: await draftSequence(world) }, body: { days: 7 } }),
  listEnrolments: async (world) => ({ params: { sequence_id: await draftSequence(world) } }),
  getEnrolment: async (world) => ({ params: await anEnrolment(world) }),
  stopEnrolment: async (world) => ({ params: await anEnrolment(world), body: { reason: 'MANUAL' } }),
};
