import { createHash } from 'node:crypto';
import {
  DEFAULT_LOOK,
  type PageLanguage,
  type PageLogo,
  type PageTexts,
  type PageTheme,
  pageLanguage,
  pageTexts,
} from '../../domain/consent';
import type { RouteAnswer } from './route';

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
.logo{margin:0 0 1.5rem}
.logo img{display:block;max-width:100%;max-height:5rem;width:auto;height:auto}
@media (prefers-color-scheme:dark){.logo img{padding:.5rem;background:#fff;border-radius:.4rem}}
.sender{margin:0 0 .25rem;color:var(--soft);font-weight:600;font-size:.9rem}
h1{margin:0 0 1rem;font-size:1.6rem;line-height:1.25;text-wrap:balance}
p{margin:0 0 1rem}
blockquote{margin:0 0 1.25rem;padding:.25rem 0 .25rem 1rem;border-left:3px solid var(--line);color:var(--soft);white-space:pre-line;overflow-wrap:anywhere}
fieldset{margin:0 0 1.25rem;padding:0;border:0}
legend{padding:0;margin-bottom:.5rem;font-weight:600}
label{display:flex;gap:.75rem;align-items:flex-start;padding:.75rem 1rem;margin-bottom:.5rem;border:1px solid var(--line);border-radius:.6rem;cursor:pointer}
label:has(input:checked){border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
input[type=radio],input[type=checkbox]{flex:none;margin-top:.35rem;width:1.1rem;height:1.1rem;accent-color:var(--accent)}
select,input[type=text],input[type=password]{display:block;width:100%;margin:.35rem 0 0;padding:.6rem .75rem;border:1px solid var(--soft);border-radius:.6rem;background:var(--card);color:var(--text);font:inherit}
.field{display:block;padding:0;border:0;cursor:auto}
.category{margin:0 0 1.5rem;padding:0 0 1.25rem;border-bottom:1px solid var(--line)}
.category p{margin:0 0 .75rem;color:var(--soft)}
h2{margin:2rem 0 .5rem;font-size:1.15rem}
.done{margin:0 0 1.25rem;padding:.75rem 1rem;border-left:4px solid var(--accent);background:var(--page);font-weight:600}
.quiet{background:transparent;color:var(--accent);box-shadow:inset 0 0 0 2px var(--accent)}
a{color:var(--accent)}
footer{margin:2rem 0 0;padding:1rem 0 0;border-top:1px solid var(--line);color:var(--soft);font-size:.9rem;white-space:pre-line}
footer a{margin-right:1rem}
table{width:100%;border-collapse:collapse;margin:0 0 1.25rem;font-size:.9rem}
th,td{padding:.4rem .6rem .4rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{width:12rem;font-weight:600}
.wide{max-width:56rem}
@media (max-width:30rem){body{padding:0;background:var(--card)}main{padding:1.5rem;border:0;border-radius:0}}
@media print{body{display:block;padding:0;background:#fff;color:#000}main{max-width:none;padding:0;border:0}section{break-inside:avoid}}
button{padding:.8rem 1.6rem;border:0;border-radius:.6rem;background:var(--accent);color:var(--on-accent);font:inherit;font-weight:600;cursor:pointer}
button:hover{filter:brightness(1.08)}
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
.note{margin:1.25rem 0 0;color:var(--soft);font-size:.9rem}
`;

/** Changes with the style, so that it can be cached for ever. */
export const STYLE_PATH = `/pages/${createHash('sha256').update(PAGE_STYLE).digest('hex').slice(0, 12)}.css`;

/** Language and look of a page. */
export interface PageSetting {
  language: PageLanguage;
  texts: PageTexts;
  theme: PageTheme | null;
}

/** The setting for a visitor: their language where we have it, else the workspace's; its theme if it has one. */
export function pageSetting(
  request: { headers: { 'accept-language'?: string | undefined } },
  workspace: { locale: string; theme: PageTheme | null } | null = null,
): PageSetting {
  const language = pageLanguage(request.headers['accept-language'], workspace?.locale ?? null);
  return { language, texts: pageTexts(language), theme: workspace?.theme ?? null };
}

export interface Page {
  title: string;
  /** Name of the workspace, where the link is genuine. */
  sender?: string;
  /** Already escaped HTML. */
  content: string;
  /** For documents that are printed. */
  wide?: boolean;
}

/** The look that every workspace begins with is in the pages' own sheet. */
function themeSheet({ accentColor, corners }: PageTheme): string {
  return accentColor === DEFAULT_LOOK.accentColor && corners === DEFAULT_LOOK.corners
    ? ''
    : `\n<link rel="stylesheet" href="/pages/theme/${accentColor}-${corners.toLowerCase()}.css">`;
}

function picture({ path, alt, width, height }: PageLogo): string {
  return `<p class="logo"><img src="${escapeHtml(path)}" alt="${escapeHtml(alt)}" width="${width}" height="${height}"></p>\n`;
}

/** A complete page; works without script, cookie and session. */
export function page(setting: PageSetting, status: number, { title, sender, content, wide }: Page): RouteAnswer {
  const { language, texts, theme } = setting;
  const links = [
    [theme?.privacyUrl, texts.privacy],
    [theme?.imprintUrl, texts.imprint],
  ].flatMap(([url, text]) => (url && text ? [`<a href="${escapeHtml(url)}">${escapeHtml(text)}</a>`] : []));
  const footer = [escapeHtml(theme?.footer ?? ''), links.join('')].filter((part) => part !== '').join('\n');
  return {
    status,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Language': language,
      Vary: 'Accept-Language, Accept',
      'X-Robots-Tag': 'noindex, nofollow',
    },
    text: `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}${sender ? ` – ${escapeHtml(sender)}` : ''}</title>
<link rel="stylesheet" href="${STYLE_PATH}">${theme ? themeSheet(theme) : ''}
</head>
<body>
<main${wide ? ' class="wide"' : ''}>
${theme?.logo ? picture(theme.logo) : ''}${sender ? `<p class="sender">${escapeHtml(sender)}</p>\n` : ''}<h1>${escapeHtml(title)}</h1>
${content}${footer ? `\n<footer>${footer}</footer>` : ''}
</main>
</body>
</html>
`,
  };
}

/** One answer for every link that is not ours: cut, altered, of another purpose, or of something that is gone. */
export function unknownLink(setting: PageSetting): RouteAnswer {
  return page(setting, 404, {
    title: setting.texts.unknownTitle,
    content: `<p>${escapeHtml(setting.texts.unknown)}</p>`,
  });
}
