import { createCheckJob, resetBreaker } from '../../db/senders';
import { checkProviderWorkflow, INSTALLATION_PROVIDER_ID } from '../../domain/senders';
import { ensureWorkflow, workflowUrl } from '../../platform/temporal';
import { wrongState } from '../http/problem';
import { defineRoute } from '../http/route';
import type { workflowReference, z } from '../http/schemas';
import { requireProvider, wakeWaitingMail } from './providers';
import { providerParams, resetAnswer, startedCheck } from './schemas';

const ONE = '/workspaces/{ws}/email-infrastructure/providers/{provider_id}';
const TAG = 'Senders';

const testProvider = defineRoute({
  operationId: 'testProvider',
  method: 'post',
  path: `${ONE}/test`,
  tag: TAG,
  summary: 'Checks whether a provider can be reached and logged in to',
  description: 'Nothing is sent. The finding is on the provider: last_check_at, last_check_status, last_error.',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  params: providerParams,
  responses: { 202: { description: 'The check was started', schema: startedCheck } },
  async handle(context, { params }) {
    const { workspaceId, deps } = context;
    const { id } = await requireProvider(context, params.provider_id);
    const jobId = await createCheckJob(context.tx, { workspaceId, providerId: id, createdBy: context.actor.userId });
    await context.audit({ action: 'provider.test', entityType: 'provider', entityId: id, new: { job_id: jobId } });
    const start = checkProviderWorkflow({ workspaceId, jobId });
    const workflow: z.input<typeof workflowReference> = {
      workflow_id: start.workflowId,
      run_id: null,
      ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, start.workflowId),
    };
    context.afterCommit(async () => {
      workflow.run_id = (await ensureWorkflow(deps.temporal, start)).runId;
    });
    return { status: 202, body: { job_id: jobId, workflow } };
  },
});

const resetProviderBreaker = defineRoute({
  operationId: 'resetProviderBreaker',
  method: 'post',
  path: `${ONE}/breaker/reset`,
  tag: TAG,
  summary: 'Closes the breaker of a provider',
  description:
    'For after the cause was found: mail flows again at once, and the breaker opens again if the provider still fails. The nil UUID means the fallback sender of the installation.',
  access: 'workspace',
  permission: 'senders:write',
  params: providerParams,
  responses: { 200: { description: 'The breaker is closed', schema: resetAnswer } },
  async handle(context, { params }) {
    const id = params.provider_id;
    if (id !== INSTALLATION_PROVIDER_ID) await requireProvider(context, id);
    if (!(await resetBreaker(context.tx, context.workspaceId, id))) {
      throw wrongState('breaker', 'CLOSED', 'There is nothing to reset.');
    }
    await context.audit({
      action: 'provider.breaker-reset',
      entityType: 'provider',
      entityId: id,
      new: { breaker: 'CLOSED' },
    });
    await wakeWaitingMail(context);
    return { status: 200, body: { breaker: { state: 'CLOSED', reason: null, opened_at: null, probe_at: null } } };
  },
});

export const checkRoutes = [testProvider, resetProviderBreaker];
