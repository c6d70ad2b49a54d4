import { findContactForContext, freezeTemplateMessage, type TemplateVariable } from '../../db/content';
import { enqueueDelivery } from '../../db/delivery/enqueue';
import {
  findContactByEmail,
  findContactById,
  storeSourceId,
  transactionalExpiry,
} from '../../db/delivery/transactional';
import { normaliseEmail } from '../../domain/contacts';
import { buildContext, headerTextProblem } from '../../domain/content';
import { uuidv7 } from '../../platform/ids';
import { contextValues } from '../content';
import { invalidField, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { headerText, id, problemDocument, workflowReference, z } from '../http/schemas';
import { followLane } from './follow-lane';

const OPERATION = 'sendTransactionalMessage';

/** Mail that nobody asked for one by one needs a campaign, with consent and approval. */
const BULK_CATEGORIES: ReadonlySet<string> = new Set(['MARKETING', 'NEWSLETTER']);

const address = z
  .string()
  .max(1_000)
  .transform((value, context) => {
    const normalised = normaliseEmail(value);
    if (normalised.ok) return normalised.email;
    context.addIssue({ code: 'custom', message: normalised.message });
    return z.NEVER;
  })
  .openapi({ type: 'string', format: 'email' });

const name = headerText(200).superRefine((value, context) => {
  const problem = headerTextProblem(value);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});

const body = z
  .strictObject({
    template: z.string().min(1).max(100).openapi({ description: 'Slug of an active template.' }),
    contact_id: id.optional(),
    to: z.strictObject({ email: address, name: name.optional() }).optional(),
    context: contextValues.default({}),
  })
  .superRefine((value, context) => {
    if ((value.contact_id === undefined) === (value.to === undefined)) {
      context.addIssue({ code: 'custom', path: ['to'], message: 'Give either contact_id or to.' });
    }
  });

interface Recipient {
  contactId: string | null;
  email: string;
  name: string | null;
}

async function recipientOf(context: WorkspaceContext, input: z.output<typeof body>): Promise<Recipient> {
  const { tx, workspaceId } = context;
  if (input.contact_id !== undefined) {
    const contact = await findContactById(tx, workspaceId, input.contact_id);
    if (!contact) throw invalidField('contact_id', 'No contact with this id exists.');
    return { contactId: contact.id, email: contact.email, name: null };
  }
  const email = input.to?.email ?? '';
  const contact = await findContactByEmail(tx, workspaceId, email);
  return { contactId: contact?.id ?? null, email, name: input.to?.name ?? null };
}

/** 422 for values that the template does not declare, and for required ones that are missing. */
function checkContext(
  variables: readonly TemplateVariable[],
  given: Record<string, unknown>,
  available: Readonly<Record<string, unknown>>,
): void {
  const declared = new Set(variables.map((variable) => variable.name));
  const unknown = Object.keys(given).filter((key) => !declared.has(key));
  const missing = variables.filter(
    (variable) => variable.required === true && (available[variable.name] ?? variable.default ?? null) === null,
  );
  const errors = [
    ...unknown.map((key) => ({ pointer: pointerTo(key), detail: `The template declares no variable "${key}".` })),
    ...missing.map((variable) => ({
      pointer: pointerTo(variable.name),
      detail: `The template needs the variable "${variable.name}".`,
    })),
  ];
  if (errors.length > 0)
    throw new Problem('validation-failed', errors[0]?.detail ?? 'The context is wrong.', { errors });
}

function pointerTo(key: string): string {
  return `/body/context/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

const send = defineRoute({
  operationId: OPERATION,
  method: 'post',
  path: '/workspaces/{ws}/email-marketing/messages/send',
  tag: 'Delivery',
  summary: 'Sends one transactional message',
  description:
    'To a contact or an address; an address that belongs to a contact counts as that contact. The message is a row of ' +
    'the ledger like any other, sent at least once under one Message-ID. Suppressed addresses get nothing, nor does who ' +
    'denied transactional mail. Repeat a request with its Idempotency-Key: the message is not sent again.',
  access: 'workspace',
  permission: 'messages:send',
  idempotent: true,
  body,
  responses: {
    202: {
      description: 'It is in the ledger',
      schema: z.object({
        delivery_id: z.uuid(),
        source_id: z.uuid(),
        message_id: z.uuid(),
        status: z.literal('QUEUED'),
        workflow: workflowReference,
      }),
    },
    422: { description: 'Unknown template, or variables are unknown or missing', schema: problemDocument },
  },
  async handle(context, input) {
    const { tx, workspaceId, deps } = context;
    const { EMAIL_FROM: email, EMAIL_FROM_NAME: fromName } = deps.config;
    const slug = input.body.template;
    const frozen = await freezeTemplateMessage(tx, { workspaceId, slug, defaultSender: { email, name: fromName } });
    if (!frozen) throw invalidField('template', 'No active template has this slug.');
    if (BULK_CATEGORIES.has(frozen.category)) {
      throw invalidField(
        'template',
        `A ${frozen.category} template is for campaigns, which ask for consent and approval.`,
      );
    }
    const recipient = await recipientOf(context, input.body);
    const contact = recipient.contactId ? await findContactForContext(tx, workspaceId, recipient.contactId) : null;
    const delivery =
      recipient.contactId === null ? { email: recipient.email, ...input.body.context } : input.body.context;
    checkContext(frozen.variables, input.body.context, buildContext({ contact, delivery }));
    const sourceId = uuidv7();
    const enqueued = await enqueueDelivery(tx, {
      workspaceId,
      sourceType: 'TRANSACTIONAL',
      sourceId,
      stepKey: 'send',
      contactId: recipient.contactId,
      address: recipient.contactId ? null : recipient.email,
      recipientName: recipient.contactId ? null : recipient.name,
      addressHash: recipient.contactId ? null : deps.addressHasher.hash(recipient.email),
      emailDomain: recipient.email.slice(recipient.email.lastIndexOf('@') + 1),
      messageId: frozen.messageId,
      context: input.body.context,
      expiresAt: await transactionalExpiry(tx),
    });
    if (!enqueued.deliveryId) throw new Error('a fresh source already had a delivery');
    const key = context.raw.request.headers['idempotency-key'];
    if (typeof key === 'string' && key !== '')
      await storeSourceId(tx, { workspaceId, operation: OPERATION, key, sourceId });
    await context.audit({
      action: 'message.send',
      entityType: 'delivery',
      entityId: enqueued.deliveryId,
      new: { template: slug, message_id: frozen.messageId, contact_id: recipient.contactId, source_id: sourceId },
    });
    return {
      status: 202,
      body: {
        delivery_id: enqueued.deliveryId,
        source_id: sourceId,
        message_id: frozen.messageId,
        status: 'QUEUED',
        workflow: followLane(context, enqueued),
      },
    };
  },
});

export const transactionalRoutes: AnyRoute[] = [send];
