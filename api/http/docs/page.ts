import { type Operation, type ShownDocument, shownDocument } from './document';
import { type Html, html, prose } from './html';
import { limitsOf, schemaAnchor, schemaTable, typeOf } from './schema-view';

interface Entry {
  method: string;
  path: string;
  operation: Operation;
}

function entriesByTag(document: ShownDocument): Map<string, Entry[]> {
  const byTag = new Map<string, Entry[]>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0] ?? '';
      byTag.set(tag, [...(byTag.get(tag) ?? []), { method, path, operation }]);
    }
  }
  return byTag;
}

function parameters(operation: Operation): Html | null {
  const shown = operation.parameters ?? [];
  if (shown.length === 0) return null;
  return html`<h4>Parameters</h4><table><thead><tr><th>Name</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${shown.map(
    (parameter) =>
      html`<tr><td><code>${parameter.name}</code> <span class="where">${parameter.in}</span>${parameter.required ? html` <span class="required">required</span>` : ''}</td><td>${parameter.schema && typeOf(parameter.schema)}</td><td>${parameter.schema && [parameter.schema.description, limitsOf(parameter.schema)].filter(Boolean).join('; ')}</td></tr>`,
  )}</tbody></table>`;
}

function body(operation: Operation): Html | null {
  const contents = Object.entries(operation.requestBody?.content ?? {});
  const [first] = contents;
  if (!first) return null;
  return html`<h4>Body <span class="where">${contents.map(([type]) => type).join(', ')}</span></h4>${first[1].schema && schemaTable(first[1].schema)}`;
}

/** Answers of the operation's own; the problems that any operation may answer with are explained once. */
function responses(operation: Operation): Html[] {
  return Object.entries(operation.responses)
    .filter(([status, response]) => Number(status) < 400 || response.description !== 'Problem')
    .map(([status, response]) => {
      const schema = Object.values(response.content ?? {})[0]?.schema;
      return html`<h4>${status} <span class="where">${response.description}</span></h4>${schema && schemaTable(schema)}`;
    });
}

function problems(operation: Operation): Html | null {
  const statuses = Object.entries(operation.responses).filter(([, response]) => response.description === 'Problem');
  if (statuses.length === 0) return null;
  return html`<p class="problems">Problems: ${statuses.map(([status]) => status).join(', ')}</p>`;
}

function section({ method, path, operation }: Entry): Html {
  const isPublic = operation.security?.length === 0;
  const words = [method, path, operation.summary, operation.operationId].join(' ').toLowerCase();
  return html`<section class="operation" id="${operation.operationId}" data-words="${words}">
<h3>${operation.summary}</h3>
<p class="line"><span class="method ${method}">${method.toUpperCase()}</span> <code>${path}</code>${isPublic ? html` <span class="public">public</span>` : ''} <a class="anchor" href="#${operation.operationId}">${operation.operationId}</a></p>
${prose(operation.description ?? '')}
${parameters(operation)}
${body(operation)}
${responses(operation)}
${problems(operation)}
</section>`;
}

/** Every operation and schema of an OpenAPI document as one page that needs nothing from elsewhere. */
export function docsPage(openApi: object): string {
  const document = shownDocument.parse(openApi);
  const byTag = [...entriesByTag(document)];
  const schemas = Object.entries(document.components.schemas).sort(([a], [b]) => a.localeCompare(b));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${document.info.title} API</title>
<link rel="stylesheet" href="/docs/style.css">
<script src="/docs/filter.js" defer></script>
</head>
<body>
<nav aria-label="Operations">
<p class="name">${document.info.title} <span>API ${document.info.version}</span></p>
<input type="search" id="filter" placeholder="Filter operations" aria-label="Filter operations">
${byTag.map(
  ([tag, entries]) =>
    html`<div class="group"><p>${tag}</p><ul>${entries.map(
      ({ method, operation }) =>
        html`<li data-operation="${operation.operationId}"><a href="#${operation.operationId}"><span class="method ${method}">${method}</span> ${operation.summary}</a></li>`,
    )}</ul></div>`,
)}
</nav>
<main>
<header>
<h1>${document.info.title} API</h1>
<p>${document.info.description}</p>
<ul>
<li>The machine-readable document is <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</li>
<li>Send <code>Authorization: Bearer …</code> with an API key (<code>sally_…</code>) or a session token.</li>
<li>Errors are <code>application/problem+json</code> (RFC 9457) with a stable <code>type</code>, what to do in <code>detail</code>, and a JSON pointer to each wrong field in <code>errors</code>. Unknown fields are refused.</li>
<li>Lists give <code>next_cursor</code>; send it as <code>cursor</code> for the next page.</li>
<li>Send <code>Idempotency-Key</code> with a POST that creates or starts something, and repeat it safely.</li>
<li><code>ETag</code> and <code>If-Match</code> keep two people from overwriting each other.</li>
</ul>
</header>
${byTag.map(([tag, entries]) => html`<h2>${tag}</h2>${entries.map(section)}`)}
<h2>Schemas</h2>
${schemas.map(([name, schema]) => html`<section id="${schemaAnchor(name)}"><h3>${name}</h3>${prose(schema.description ?? '')}${schemaTable(schema)}</section>`)}
</main>
</body>
</html>
`.text;
}
