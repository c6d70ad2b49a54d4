import type { TemplateVariable } from '../../db/content';
import type { ContentPart, ContentSandbox, LintFinding, TaskResult, TemplateError } from '../../domain/content';
import { Problem, type ProblemPlace } from '../http/problem';

/** Content as requests have it. */
export interface WrittenContent {
  subjectTemplate: string;
  bodyHtml: string;
  bodyText: string | null;
  previewText: string;
}

/** What a request calls the parts of a message. */
const FIELDS: Record<ContentPart | 'variables', string> = {
  subject: 'subject_template',
  html: 'body_html',
  text: 'body_text',
  previewText: 'preview_text',
  variables: 'variables',
};

export interface ContentWarning {
  code: string;
  pointer: string;
  detail: string;
  line?: number;
  column?: number;
}

export function toSource(content: WrittenContent) {
  return {
    subject: content.subjectTemplate,
    html: content.bodyHtml,
    text: content.bodyText,
    previewText: content.previewText,
  };
}

/** Everything the lint finds, by field, line and column. Runs in a thread with limits: nobody has looked at it yet. */
export async function findingsIn(
  sandbox: ContentSandbox,
  content: WrittenContent,
  declared: readonly TemplateVariable[],
  knownVariables: readonly string[],
): Promise<{ errors: ContentWarning[]; warnings: ContentWarning[] }> {
  const result = await withinCapacity(
    sandbox.lint({ ...toSource(content), declaredVariables: declared, knownVariables }),
  );
  const toWarning = (finding: LintFinding): ContentWarning => ({ code: finding.code, ...placeOf(finding) });
  return { errors: result.errors.map(toWarning), warnings: result.warnings.map(toWarning) };
}

/** Checks content before it is saved: throws 422 with what is wrong, returns the warnings. */
export async function lintContent(...args: Parameters<typeof findingsIn>): Promise<ContentWarning[]> {
  const { errors, warnings } = await findingsIn(...args);
  if (errors.length > 0) throw refusedContent(errors.slice(0, 20).map(({ code: _code, ...place }) => place));
  return warnings;
}

/** The value of something that ran in the sandbox; throws 422 for what is wrong with the template. */
export async function sandboxed<T>(running: Promise<TaskResult<T>>): Promise<T> {
  const result = await withinCapacity(running);
  if (result.ok) return result.value;
  throw refusedContent([placeOfError(result.error)]);
}

function refusedContent(errors: ProblemPlace[]): Problem {
  return new Problem('validation-failed', errors[0]?.detail ?? 'The content is not valid.', { errors });
}

function placeOf(finding: LintFinding): ProblemPlace {
  return place(FIELDS[finding.part], finding.message, finding.line, finding.column);
}

function placeOfError(error: TemplateError): ProblemPlace {
  const part = error.part;
  return place(part === undefined ? 'body_html' : FIELDS[part], error.message, error.line, error.column);
}

function place(field: string, message: string, line: number | undefined, column: number | undefined): ProblemPlace {
  const at = line === undefined ? '' : column === undefined ? `line ${line}: ` : `line ${line}, column ${column}: `;
  return {
    pointer: `/body/${field}`,
    detail: `${field}: ${at}${message}`,
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
}

/** The threads have a bounded queue; a full one is our shortage, not the template's fault. */
async function withinCapacity<T>(running: Promise<T>): Promise<T> {
  try {
    return await running;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'QUEUE_FULL' || error.code === 'CLOSED')) {
      throw new Problem('unavailable', 'Too many templates are being checked at the moment. Try again.', {
        headers: { 'Retry-After': '2' },
      });
    }
    throw error;
  }
}
