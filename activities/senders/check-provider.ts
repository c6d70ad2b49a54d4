import type { Verification } from '../../channels/connector';
import { beginCheckJob, CredentialsError, finishCheckJob, loadProvider, readCheckResult } from '../../db/senders';
import type {
  CheckProviderInput,
  CheckProviderResult,
  ProviderCredentials,
  ProviderSender,
} from '../../domain/senders';
import { redactAddresses } from '../../platform/log';
import type { ActivityDependencies } from '../dependencies';
import { createSenderConnector } from './connector';

/** A check is for somebody who waits: shorter than the patience that real mail deserves (RFC 5321, section 4.5.3.2). */
const CHECK_PATIENCE = {
  smtp: { connectMs: 10_000, greetingMs: 15_000, commandMs: 15_000, finalDotMs: 15_000 },
  http: { connectMs: 10_000, answerMs: 15_000 },
};
const LONGEST_MESSAGE = 300;

/** Opens one connection to a provider up to the log-in (an API: asks for what sending needs) and stores what came of it; repeating it is harmless. */
export async function runProviderCheck(
  deps: ActivityDependencies,
  { workspaceId, jobId }: CheckProviderInput,
): Promise<CheckProviderResult> {
  const job = await beginCheckJob(deps.db, workspaceId, jobId);
  if (!job) return (await readCheckResult(deps.db, workspaceId, jobId)) ?? { status: 'FAILED', cause: 'no-such-job' };
  const { result, message } = await check(deps, workspaceId, job.providerId);
  await deps.db.transaction((tx) =>
    finishCheckJob(tx, { workspaceId, jobId, providerId: job.providerId, result, message }),
  );
  return result;
}

interface Finding {
  result: CheckProviderResult;
  message: string | null;
}

async function check(deps: ActivityDependencies, workspaceId: string, providerId: string): Promise<Finding> {
  let provider: ProviderSender | null;
  try {
    provider = await loadProvider(deps.db, workspaceId, providerId, deps.keyring);
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error;
    return failed('credentials', 'The stored credentials cannot be opened: the key they were sealed with is missing.');
  }
  if (!provider) return failed('deleted', null);
  const connector = createSenderConnector(provider, deps.config, { patience: CHECK_PATIENCE });
  try {
    return describe(await connector.verify(), provider.credentials);
  } finally {
    await connector.close(0);
  }
}

function failed(cause: string, message: string | null): Finding {
  return { result: { status: 'FAILED', cause }, message };
}

const EXPLANATIONS: Record<Exclude<Verification, { ok: true }>['cause'], string> = {
  authentication: 'The server refused the log-in.',
  tls: 'No verified TLS connection could be made.',
  connect: 'The server could not be reached.',
  protocol: 'The server does not answer as expected.',
  throttled: 'The server wants no connection at the moment.',
};

function describe(found: Verification, credentials: ProviderCredentials): Finding {
  if (found.ok) return { result: { status: 'OK', cause: null }, message: null };
  const reply = withoutSecrets(found.reply, credentials).slice(0, LONGEST_MESSAGE);
  return failed(found.cause, reply === '' ? EXPLANATIONS[found.cause] : `${EXPLANATIONS[found.cause]} ${reply}`);
}

/** Servers echo what they refuse: strikes addresses and every credential out, plain or in base64. */
function withoutSecrets(reply: string, credentials: ProviderCredentials): string {
  let text = reply;
  for (const secret of Object.values(credentials)) {
    if (typeof secret !== 'string') continue;
    text = text.replaceAll(secret, '[secret]').replaceAll(Buffer.from(secret).toString('base64'), '[secret]');
  }
  return redactAddresses(text);
}
