/** Style of the documents' page. */
export const DOCS_STYLE = `:root {
  color-scheme: light dark;
  --text: #1c2430; --dim: #5b6675; --line: #dfe4ea; --ground: #ffffff; --side: #f6f8fa; --accent: #0b6b57;
  --get: #1b6ac9; --post: #0b7a4b; --patch: #9a5b00; --put: #9a5b00; --delete: #b3261e; --code: #eef2f6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e4e9f0; --dim: #9aa6b5; --line: #2d3642; --ground: #12161c; --side: #171d25; --accent: #5fd0b4;
    --get: #7fb4ff; --post: #63d29b; --patch: #f0b65a; --put: #f0b65a; --delete: #ff8a80; --code: #1f2732;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; display: flex; font: 15px/1.55 system-ui, sans-serif; color: var(--text); background: var(--ground); }
nav { position: sticky; top: 0; flex: 0 0 20rem; height: 100vh; overflow-y: auto; padding: 1.25rem; background: var(--side); border-right: 1px solid var(--line); }
nav .name { margin: 0 0 .75rem; font-size: 1.2rem; font-weight: 700; }
nav .name span { font-size: .8rem; font-weight: 400; color: var(--dim); }
nav input { width: 100%; padding: .5rem .65rem; font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; }
nav .group p { margin: 1.1rem 0 .25rem; font-size: .78rem; font-weight: 700; letter-spacing: .05em; text-transform: uppercase; color: var(--dim); }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li a { display: block; padding: .2rem .35rem; border-radius: 5px; color: inherit; text-decoration: none; }
nav li a:hover, nav li a:focus-visible { background: var(--code); }
nav .method { display: inline-block; width: 3.4rem; font-size: .68rem; }
main { flex: 1 1 auto; min-width: 0; max-width: 66rem; padding: 2rem 2.5rem 6rem; }
h1 { margin: 0 0 .25rem; font-size: 2rem; }
h2 { margin: 3rem 0 1rem; padding-bottom: .35rem; font-size: 1.4rem; border-bottom: 2px solid var(--line); }
h3 { margin: 0 0 .35rem; font-size: 1.1rem; }
h4 { margin: 1rem 0 .35rem; font-size: .92rem; }
section { margin: 0 0 1.25rem; padding: 1.1rem 1.25rem; border: 1px solid var(--line); border-radius: 10px; }
section:target { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.line { margin: 0 0 .5rem; overflow-wrap: anywhere; }
.method { font-family: ui-monospace, monospace; font-weight: 700; text-transform: uppercase; }
.get { color: var(--get); } .post { color: var(--post); } .patch { color: var(--patch); } .put { color: var(--put); } .delete { color: var(--delete); }
.anchor { margin-left: .5rem; font-size: .82rem; color: var(--dim); }
.where, .required, .public, .problems, .type { font-size: .82rem; font-weight: 400; color: var(--dim); }
.required { color: var(--delete); }
.public { padding: .05rem .45rem; border: 1px solid var(--line); border-radius: 99px; }
code { padding: .08rem .3rem; font: .88em ui-monospace, monospace; background: var(--code); border-radius: 4px; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th { text-align: left; font-weight: 600; color: var(--dim); }
th, td { padding: .3rem .75rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th:first-child, td:first-child { width: 34%; }
th:nth-child(2), td:nth-child(2) { width: 30%; }
a { color: var(--accent); }
[hidden] { display: none; }
@media (max-width: 55rem) { body { display: block; } nav { position: static; height: auto; border-right: 0; } main { padding: 1.25rem; } }
`;

/** Hides operations that do not match what is typed; without it the page shows all of them. */
export const DOCS_SCRIPT = `'use strict';
const input = document.getElementById('filter');
input.addEventListener('input', () => {
  const words = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const section of document.querySelectorAll('section.operation')) {
    section.hidden = !words.every((word) => section.dataset.words.includes(word));
  }
  for (const item of document.querySelectorAll('nav li')) {
    item.hidden = document.getElementById(item.dataset.operation).hidden;
  }
  for (const group of document.querySelectorAll('nav .group')) {
    group.hidden = !group.querySelector('li:not([hidden])');
  }
});
`;
