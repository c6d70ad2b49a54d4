import { mailHtml, mailText, PAGE_LANGUAGES, type PageLanguage, type SystemTemplate, templateSlug } from '../consent';

/** Slug of the template of mails with a gate's link; made with the first gate, edited like any other afterwards. */
export const GATE_TEMPLATE = 'gate-access';

const TEXTS = {
  en: {
    name: 'Link to a gated resource',
    subject: 'Your link: {{ gate_name }}',
    preview: 'Here is what you asked for.',
    lead: 'Somebody, probably you, asked for this link to be sent to this address.',
    invite: 'Open it here:',
    button: 'Open it',
    note: 'The link is for you alone and works for a limited time. If this was not you, do nothing.',
    something: 'what you asked for',
  },
  de: {
    name: 'Link to a gated resource (German)',
    subject: 'Ihr Link: {{ gate_name }}',
    preview: 'Hier ist, worum Sie gebeten haben.',
    lead: 'Jemand, wahrscheinlich Sie, hat diesen Link an diese Adresse bestellt.',
    invite: 'Hier öffnen Sie ihn:',
    button: 'Öffnen',
    note: 'Der Link ist nur für Sie und gilt eine begrenzte Zeit. Wenn Sie das nicht waren, tun Sie nichts.',
    something: 'worum Sie gebeten haben',
  },
  fr: {
    name: 'Link to a gated resource (French)',
    subject: 'Votre lien : {{ gate_name }}',
    preview: 'Voici ce que vous avez demandé.',
    lead: 'Quelqu’un, probablement vous, a demandé que ce lien soit envoyé à cette adresse.',
    invite: 'Ouvrez-le ici :',
    button: 'Ouvrir',
    note: 'Le lien est pour vous seul et valable un temps limité. Si ce n’était pas vous, ne faites rien.',
    something: 'ce que vous avez demandé',
  },
} satisfies Record<PageLanguage, object>;

/** They show nothing that the visitor typed: a stranger's words must not be mailed in the workspace's name. */
export const GATE_MAILS: readonly SystemTemplate[] = PAGE_LANGUAGES.map((language) => {
  const texts = TEXTS[language];
  const content = { ...texts, language, heading: '{{ gate_name }}', url: 'gate_url' };
  return {
    slug: templateSlug(GATE_TEMPLATE, language),
    name: texts.name,
    subject: texts.subject,
    previewText: texts.preview,
    html: mailHtml(content),
    text: mailText(content),
    variables: [{ name: 'gate_name', default: texts.something, description: 'Name of the gate' }],
  };
});
