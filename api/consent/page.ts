import { createHash } from 'node:crypto';
import type { RouteAnswer } from '../http/route';

/** Text for HTML, also inside quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The style sheet of the public pages: contrast above 7:1, visible focus, light and dark, no script anywhere. */
export const PAGE_STYLE = `:root{color-scheme:light dark;--page:#f3f4f6;--card:#fff;--text:#111827;--soft:#4b5563;--line:#d1d5db;--accent:#1d4ed8;--on-accent:#fff}
@media (prefers-color-scheme:dark){:root{--page:#0b1120;--card:#111827;--text:#f3f4f6;--soft:#cbd5e1;--line:#374151;--accent:#93c5fd;--on-accent:#0b1120}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--page);color:var(--text);font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
main{width:100%;max-width:32rem;padding:2.5rem;background:var(--card);border:1px solid var(--line);border-radius:1rem}
.sender{margin:0 0 .25rem;color:var(--soft);font-weight:600;font-size:.9rem}
h1{margin:0 0 1rem;font-size:1.6rem;line-height:1.25;text-wrap:balance}
p{margin:0 0 1rem}
blockquote{margin:0 0 1.25rem;padding:.25rem 0 .25rem 1rem;border-left:3px solid var(--line);color:var(--soft);white-space:pre-line;overflow-wrap:anywhere}
fieldset{margin:0 0 1.25rem;padding:0;border:0}
legend{padding:0;margin-bottom:.5rem;font-weight:600}
label{display:flex;gap:.75rem;align-items:flex-start;padding:.75rem 1rem;margin-bottom:.5rem;border:1px solid var(--line);border-radius:.6rem;cursor:pointer}
label:has(input:checked){border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
input[type=radio]{margin-top:.35rem;accent-color:var(--accent)}
button{padding:.8rem 1.6rem;border:0;border-radius:.6rem;background:var(--accent);color:var(--on-accent);font:inherit;font-weight:600;cursor:pointer}
button:hover{filter:brightness(1.08)}
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
.note{margin:1.25rem 0 0;color:var(--soft);font-size:.9rem}
`;

/** Changes with the style, so that it can be cached for ever. */
export const STYLE_PATH = `/pages/${createHash('sha256').update(PAGE_STYLE).digest('hex').slice(0, 12)}.css`;

export interface Page {
  title: string;
  /** Name of the workspace, where the link is genuine. */
  sender?: string;
  /** Already escaped HTML. */
  content: string;
}

/** A complete page; works without script, cookie and session. */
export function page(status: number, { title, sender, content }: Page): RouteAnswer {
  return {
    status,
    headers: { 'Content-Type': 'text/html; charset=utf-8', 'X-Robots-Tag': 'noindex, nofollow' },
    text: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}${sender ? ` – ${escapeHtml(sender)}` : ''}</title>
<link rel="stylesheet" href="${STYLE_PATH}">
</head>
<body>
<main>
${sender ? `<p class="sender">${escapeHtml(sender)}</p>\n` : ''}<h1>${escapeHtml(title)}</h1>
${content}
</main>
</body>
</html>
`,
  };
}

/** One answer for every link that is not ours: cut, altered, of another purpose, or of something that is gone. */
export function unknownLink(): RouteAnswer {
  return page(404, {
    title: 'This link does not work',
    content:
      '<p>It may have been cut off by a mail program. Please open it from the mail again, or copy all of it.</p>',
  });
}
