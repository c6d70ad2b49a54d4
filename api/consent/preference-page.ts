import type { PreferenceRow } from '../../db/consent';
import { categoryTexts, FREQUENCIES } from '../../domain/consent';
import { escapeHtml, page } from '../http/page';
import type { RouteAnswer } from '../http/route';
import type { PreferenceSubject } from './preference-subject';

/** Names of a form's fields: which categories it showed, which are ticked, how often. */
export const SHOWN = 'shown.';
export const TICKED = 'subscribed.';
export const FREQUENCY = 'frequency.';

/** The preference centre of one contact; `saved` after a change. Works without script. */
export function preferencePage(
  subject: PreferenceSubject,
  rows: readonly PreferenceRow[],
  token: string,
  saved = false,
): RouteAnswer {
  const { setting, workspaceName } = subject;
  const { preferences: texts } = setting.texts;
  const parts = [
    saved ? `<p class="done" role="status">${escapeHtml(texts.saved)}</p>` : '',
    subject.delivery?.class === 'test' ? `<p class="note">${escapeHtml(texts.testLead)}</p>` : '',
    body(subject, rows, escapeHtml(token)),
  ];
  return page(setting, 200, {
    title: texts.title,
    sender: workspaceName,
    content: parts.filter((part) => part !== '').join('\n'),
  });
}

function body(subject: PreferenceSubject, rows: readonly PreferenceRow[], token: string): string {
  const { preferences: texts } = subject.setting.texts;
  switch (subject.contact?.status) {
    case 'BOUNCED':
    case 'COMPLAINED':
      return `<p>${escapeHtml(texts.undeliverable)}</p>`;
    case 'UNSUBSCRIBED':
      return `<p>${escapeHtml(texts.unsubscribed(subject.workspaceName))}</p>
<p>${escapeHtml(texts.againLead)}</p>
<form method="post" action="/preferences/${token}/resubscribe"><button type="submit">${escapeHtml(texts.againButton)}</button></form>`;
    case 'ACTIVE':
    case undefined:
      return `${choices(subject, rows, token)}
<h2>${escapeHtml(texts.allTitle)}</h2>
<p>${escapeHtml(texts.allLead(subject.workspaceName))}</p>
<form method="post" action="/preferences/${token}/unsubscribe"><button type="submit" class="quiet">${escapeHtml(texts.allButton)}</button></form>`;
  }
}

function choices({ setting, workspaceName }: PreferenceSubject, rows: readonly PreferenceRow[], token: string): string {
  const { preferences: texts } = setting.texts;
  if (rows.length === 0) return `<p>${escapeHtml(texts.nothingToChoose)}</p>`;
  const categories = rows.map((row) => {
    const { name, description } = categoryTexts(row, setting.language);
    const options = FREQUENCIES.map(
      (frequency) =>
        `<option value="${frequency}"${frequency === row.frequency ? ' selected' : ''}>${escapeHtml(texts.frequencies[frequency])}</option>`,
    );
    return `<fieldset class="category"><legend>${escapeHtml(name)}</legend>
${description ? `<p>${escapeHtml(description)}</p>\n` : ''}<input type="hidden" name="${SHOWN}${row.key}" value="1">
<label><input type="checkbox" name="${TICKED}${row.key}" value="1"${row.subscribed ? ' checked' : ''}><span>${escapeHtml(texts.receive)}</span></label>
<label class="field">${escapeHtml(texts.frequency(name))}
<select name="${FREQUENCY}${row.key}">${options.join('')}</select></label></fieldset>`;
  });
  return `<p>${escapeHtml(texts.lead(workspaceName))}</p>
<form method="post" action="/preferences/${token}/save">
${categories.join('\n')}
<button type="submit">${escapeHtml(texts.save)}</button>
</form>`;
}
