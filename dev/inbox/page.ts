import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --back:#f6f7f9; --card:#fff; --line:#e3e6ea; --ink:#1d2530; --soft:#6a7482; --mark:#3157d5; --pick:#eaf0ff; }
@media (prefers-color-scheme: dark) { :root { --back:#14171c; --card:#1c2027; --line:#2d333d; --ink:#e8ebf0; --soft:#98a2b0; --mark:#8aa6ff; --pick:#26304a; } }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: grid; grid-template-rows: auto 1fr; background: var(--back); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; }
header { display: flex; gap: 12px; align-items: center; padding: 10px 16px; background: var(--card); border-bottom: 1px solid var(--line); }
h1 { font-size: 16px; margin: 0; }
#count { color: var(--soft); margin-right: auto; }
input, button { font: inherit; color: inherit; padding: 6px 10px; border: 1px solid var(--line); border-radius: 7px; background: var(--back); }
input { width: min(340px, 40vw); }
button { cursor: pointer; }
button:hover, button[aria-selected=true] { border-color: var(--mark); color: var(--mark); }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 1px; }
main { display: grid; grid-template-columns: minmax(260px, 36%) 1fr; min-height: 0; }
#list { list-style: none; margin: 0; padding: 0; overflow: auto; border-right: 1px solid var(--line); background: var(--card); }
#list a { display: block; padding: 9px 16px; border-bottom: 1px solid var(--line); color: inherit; text-decoration: none; }
#list a:hover { background: var(--back); }
#list a[aria-current=true] { background: var(--pick); }
.row { display: flex; justify-content: space-between; gap: 10px; color: var(--soft); font-size: 12.5px; }
.row span:first-child, .subject { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.subject { font-weight: 600; }
#more { display: block; width: calc(100% - 32px); margin: 12px 16px; }
article { display: grid; grid-template-rows: auto auto 1fr; min-height: 0; min-width: 0; }
article h2 { font-size: 19px; margin: 14px 18px 4px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1px 12px; margin: 0 18px 8px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; gap: 6px; padding: 0 18px 10px; border-bottom: 1px solid var(--line); }
#view { min-height: 0; overflow: auto; }
iframe { width: 100%; height: 100%; border: 0; background: #fff; display: block; }
pre { margin: 0; padding: 14px 18px; white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; margin: 10px 18px; } th, td { text-align: left; vertical-align: top; padding: 3px 12px 3px 0; overflow-wrap: anywhere; } th { white-space: nowrap; color: var(--soft); font-weight: 500; }
.empty { padding: 40px 24px; text-align: center; color: var(--soft); }
@media (max-width: 760px) { main { grid-template-columns: 1fr; grid-template-rows: 42% 1fr; } #list { border-right: 0; border-bottom: 1px solid var(--line); } }
`;

const SCRIPT = `
'use strict';
const $ = (id) => document.getElementById(id);
const make = (tag, props = {}, ...children) => { const e = Object.assign(document.createElement(tag), props); e.append(...children); return e; };
let newest = 0, open = null, tab = 'html', limit = 100, known = '';
const time = (iso) => new Date(iso).toLocaleTimeString();
async function refresh() {
  const search = $('search').value.trim();
  const answer = await fetch('/api/messages?limit=' + limit + (search ? '&search=' + encodeURIComponent(search) : ''));
  if (!answer.ok) return;
  const { messages, count, received } = await answer.json();
  $('count').textContent = count === received ? count + (count === 1 ? ' message' : ' messages') : 'newest ' + count + ' of ' + received + ' messages';
  const now = JSON.stringify([search, limit, open && open.id, messages.map((m) => m.id)]);
  if (now === known) return;
  known = now;
  newest = messages[0] ? messages[0].id : 0;
  const items = messages.map((m) => make('li', {}, link(m)));
  if (messages.length === 0) items.push(make('li', { className: 'empty', textContent: search ? 'Nothing matches.' : 'No mail yet. Whatever Sally sends appears here.' }));
  if (messages.length === limit && limit < 1000) items.push(make('li', {}, make('button', { id: 'more', textContent: 'Show more', onclick: () => { limit = 1000; refresh(); } })));
  $('list').replaceChildren(...items);
}
function link(m) {
  const a = make('a', { href: '#' + m.id },
    make('div', { className: 'row' }, make('span', { textContent: m.envelopeTo.join(', ') }), make('span', { textContent: time(m.receivedAt) })),
    make('div', { className: 'subject', textContent: m.subject || '(no subject)' }));
  if (open && open.id === m.id) a.setAttribute('aria-current', 'true');
  return a;
}
async function show() {
  const id = Number(location.hash.slice(1));
  open = null;
  if (id) { const answer = await fetch('/api/messages/' + id); if (answer.ok) open = await answer.json(); }
  if (open && tab === 'html' && open.html === null) tab = 'text';
  render(); refresh();
}
function render() {
  if (!open) return $('message').replaceChildren(make('p', { className: 'empty', textContent: 'Choose a message.' }));
  const m = open;
  const facts = [['From', m.from], ['To', m.to], ['Envelope', m.envelopeFrom + ' → ' + m.envelopeTo.join(', ')], ['Received', new Date(m.receivedAt).toLocaleString() + ' · ' + m.size + ' bytes']];
  for (const a of m.attachments) facts.push(['Attachment', a.fileName + ' (' + a.contentType + ', ' + a.size + ' bytes)']);
  const tabs = [['html', 'HTML'], ['text', 'Text'], ['headers', 'Headers'], ['raw', 'Source']];
  const view = make('div', { id: 'view' });
  $('message').replaceChildren(
    make('div', {}, make('h2', { textContent: m.subject || '(no subject)' }), make('dl', {}, ...facts.flatMap(([k, v]) => [make('dt', { textContent: k }), make('dd', { textContent: v })]))),
    make('nav', {}, ...tabs.map(([k, label]) => { const b = make('button', { textContent: label, onclick: () => { tab = k; render(); } }); b.setAttribute('aria-selected', String(tab === k)); return b; })),
    view);
  fill(view, m);
}
async function fill(view, m) {
  if (tab === 'html' && m.html !== null) {
    const frame = make('iframe', { src: '/api/messages/' + m.id + '/html', title: 'Message' });
    frame.setAttribute('sandbox', 'allow-popups allow-popups-to-escape-sandbox');
    return view.replaceChildren(frame);
  }
  if (tab === 'headers') return view.replaceChildren(make('table', {}, ...m.headers.map((h) => make('tr', {}, make('th', { textContent: h.name }), make('td', { textContent: h.value })))));
  const text = tab === 'raw' ? await (await fetch('/api/messages/' + m.id + '/raw')).text() : tab === 'html' ? m.html : m.text;
  view.replaceChildren(text === null ? make('p', { className: 'empty', textContent: 'This message has no such part.' }) : make('pre', { textContent: text }));
}
$('search').addEventListener('input', () => { limit = 100; refresh(); });
$('clear').addEventListener('click', async () => { await fetch('/api/messages', { method: 'DELETE' }); location.hash = ''; known = ''; refresh(); });
addEventListener('hashchange', show);
show();
setInterval(() => { if (!document.hidden) refresh(); }, 1500);
`;

/** The whole page; its list refreshes itself. */
export const INBOX_PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Sally inbox</title><style>${STYLE}</style></head>
<body>
<header><h1>Sally inbox</h1><span id="count" role="status"></span><input id="search" type="search" placeholder="Search subject or address" aria-label="Search subject or address"><button id="clear">Clear</button></header>
<main><ul id="list" aria-label="Messages"></ul><article id="message"></article></main>
<script>${SCRIPT}</script>
</body>
</html>
`;

const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Only this page's own script and style run; frames show messages of this server alone. */
export const PAGE_POLICY = `default-src 'none'; script-src ${sha256(SCRIPT)}; style-src ${sha256(STYLE)}; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
