import {
  collectEvidence,
  type EvidenceContact,
  type EvidenceRow,
  findEvidenceContact,
  listConsents,
} from '../../db/consent';
import { findWorkspace } from '../../db/workspace';
import { sha256 } from '../../platform/crypto';
import { escapeHtml, page, pageSetting } from '../http/page';
import { notFound } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { id, moment, z } from '../http/schemas';
import { consent, consentEvent, contactParams, showConsent, showConsentEvent } from './schemas';

const BASE = '/workspaces/{ws}/contacts/{contact_id}/consent-evidence';

const statement = consentEvent.extend({
  actor_name: z.string().nullable(),
  opt_in: z
    .object({
      id,
      status: z.string(),
      created_at: moment,
      confirmed_at: moment.nullable(),
      expires_at: moment,
      ip_address: z.string().nullable(),
      user_agent: z.string().nullable(),
      mails: z.array(
        z.object({
          kind: z.string(),
          status: z.string(),
          sent_at: z.string().nullable(),
          message_id: z.string().nullable(),
        }),
      ),
    })
    .nullable()
    .openapi({ description: 'The request, the mails that were sent for it, and its confirmation.' }),
  import_basis: z
    .object({
      import_job_id: id,
      statement: z.string(),
      file_name: z.string(),
      file_sha256: z.string().nullable(),
      declared_by: id.nullable(),
      declared_by_name: z.string().nullable(),
      declared_at: moment,
    })
    .nullable()
    .openapi({ description: 'What the import declared; the row of the file is `import_row`.' }),
});

const evidence = z.object({
  workspace: z.object({ id, name: z.string() }),
  contact: z.object({
    id,
    email: z.string(),
    first_name: z.string(),
    last_name: z.string(),
    status: z.string(),
    created_at: moment,
  }),
  generated_at: moment,
  consents: z.array(consent).openapi({ description: 'What holds now.' }),
  statements: z.array(statement).openapi({ description: 'Everything that was said, oldest first.' }),
  sha256: z.string().openapi({ description: 'SHA-256 of the JSON of `statements`, to compare two packs.' }),
});
type Evidence = z.output<typeof evidence>;

async function collect({ tx, workspaceId }: WorkspaceContext, contactId: string): Promise<Evidence> {
  const contact = await findEvidenceContact(tx, workspaceId, contactId);
  const workspace = await findWorkspace(tx, workspaceId);
  if (!contact || !workspace) throw notFound('contact');
  const statements = (await collectEvidence(tx, workspaceId, contact.id)).map(showStatement);
  return {
    workspace: { id: workspaceId, name: workspace.name },
    contact: showContact(contact),
    generated_at: contact.now.toISOString(),
    consents: (await listConsents(tx, workspaceId, contact.id)).map(showConsent),
    statements,
    sha256: sha256(JSON.stringify(statements)).toString('hex'),
  };
}

function showContact({ now: _now, ...contact }: EvidenceContact): Evidence['contact'] {
  return { ...contact, created_at: contact.created_at.toISOString() };
}

function showStatement({ actor_name, opt_in, import_basis, ...event }: EvidenceRow): z.output<typeof statement> {
  return {
    ...showConsentEvent(event),
    actor_name,
    opt_in: opt_in && {
      ...opt_in,
      created_at: opt_in.created_at.toISOString(),
      confirmed_at: opt_in.confirmed_at?.toISOString() ?? null,
      expires_at: opt_in.expires_at.toISOString(),
    },
    import_basis: import_basis && {
      import_job_id: import_basis.import_job_id,
      statement: import_basis.statement,
      file_name: import_basis.file_name,
      file_sha256: import_basis.file_sha256,
      declared_by: import_basis.declared_by,
      declared_by_name: import_basis.declared_by_name,
      declared_at: import_basis.declared_at.toISOString(),
    },
  };
}

const rows = (entries: readonly (readonly [string, unknown])[]): string =>
  entries
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(String(value))}</td></tr>`)
    .join('\n');

function statementHtml(said: z.output<typeof statement>, number: number): string {
  const { opt_in: optIn, import_basis: basis } = said;
  return `<section aria-labelledby="s${number}">
<h2 id="s${number}">${number}. ${escapeHtml(said.purpose)}, ${escapeHtml(said.channel)}: ${said.status}</h2>
${said.wording ? `<blockquote>${escapeHtml(said.wording)}</blockquote>` : ''}
<table>
${rows([
  ['When', said.occurred_at],
  ['How', said.source],
  ['Wording', said.wording_version === null ? null : `version ${said.wording_version}`],
  ['Language', said.locale],
  ['IP address', said.ip_address],
  ['Program', said.user_agent],
  ['Recorded by', said.actor_name ?? said.actor_id],
  ['Opt-in request', optIn && `${optIn.id}, ${optIn.status}, asked for at ${optIn.created_at}`],
  ['Confirmed', optIn?.confirmed_at],
  ...(optIn?.mails ?? []).map(
    (mail) =>
      [
        'Mail',
        `${mail.kind}: ${mail.status}${mail.sent_at ? ` at ${mail.sent_at}` : ''}, Message-ID ${mail.message_id}`,
      ] as const,
  ),
  ['Import', basis && `${basis.file_name}, row ${said.import_row}, job ${basis.import_job_id}`],
  ['File (SHA-256)', basis?.file_sha256],
  ['Declared basis', basis?.statement],
  ['Declared by', basis && `${basis.declared_by_name ?? basis.declared_by ?? 'unknown'} at ${basis.declared_at}`],
])}
</table>
</section>`;
}

function evidenceHtml(pack: Evidence): string {
  const { contact } = pack;
  return `<table>
${rows([
  ['Sender', pack.workspace.name],
  ['Address', contact.email],
  ['Name', [contact.first_name, contact.last_name].filter((part) => part !== '').join(' ')],
  ['Contact', `${contact.id}, ${contact.status}, since ${contact.created_at}`],
  ['Made at', pack.generated_at],
  ['SHA-256 of the statements', pack.sha256],
])}
</table>
<h2>What holds now</h2>
${
  pack.consents.length === 0
    ? '<p>Nothing was ever said.</p>'
    : `<table>
${rows(pack.consents.map((held) => [`${held.purpose}, ${held.channel}`, `${held.status} since ${held.updated_at}`]))}
</table>`
}
${pack.statements.map((said, index) => statementHtml(said, index + 1)).join('\n')}`;
}

export const evidenceRoutes = [
  defineRoute({
    operationId: 'getConsentEvidence',
    method: 'get',
    path: BASE,
    tag: 'Consent',
    summary: 'Everything that proves what a contact agreed to',
    description:
      'Each statement with the wording as it was shown, where it came from, the mails of its double opt-in, or the file, row, person and declared basis of its import. `.html` is the same to be printed.',
    access: 'workspace',
    permission: 'consent:read',
    params: contactParams,
    responses: { 200: { description: 'The evidence', schema: evidence } },
    async handle(context, { params }) {
      return { status: 200, body: await collect(context, params.contact_id) };
    },
  }),
  defineRoute({
    operationId: 'printConsentEvidence',
    method: 'get',
    path: `${BASE}.html`,
    tag: 'Consent',
    summary: 'The evidence as a page to be printed',
    access: 'workspace',
    permission: 'consent:read',
    params: contactParams,
    responses: { 200: { description: 'The evidence', contentType: 'text/html' } },
    async handle(context, { params }) {
      const pack = await collect(context, params.contact_id);
      // The document is in English whoever prints it: it is for the file, not for the visitor.
      const setting = pageSetting({ headers: { 'accept-language': 'en' } });
      const content = evidenceHtml(pack);
      return page(setting, 200, { title: 'Evidence of consent', sender: pack.workspace.name, content, wide: true });
    },
  }),
];
