import { mailHtml, mailText, type SystemTemplate, templateSlug } from './mail-layout';
import { MAIL_TEXTS } from './mail-texts';
import { OPT_IN_TEMPLATES } from './opt-in';
import { PAGE_LANGUAGES, type PageLanguage } from './page-texts';

/** The mail that invites a member. */
export const INVITATION_TEMPLATE = 'workspace-invitation';

function optInMails(language: PageLanguage): SystemTemplate[] {
  const texts = MAIL_TEXTS[language];
  const variables: SystemTemplate['variables'] = [
    { name: 'purpose_name', default: texts.ourMailings, description: 'Name of the purpose, for example "Newsletter"' },
    { name: 'wording', default: '', description: 'What the person agrees to, word by word, as shown at sign-up' },
  ];
  const common = { language, invite: texts.invite, button: texts.button, url: 'confirm_url', wording: true };
  const confirmation = { ...common, ...texts.confirmation, note: texts.ignore };
  const reminder = { ...common, ...texts.reminder, note: `${texts.ignore} ${texts.reminder.only}` };
  return [
    {
      slug: templateSlug(OPT_IN_TEMPLATES.mail, language),
      name: texts.names.confirmation,
      subject: texts.confirmation.subject,
      previewText: texts.confirmation.preview,
      html: mailHtml(confirmation),
      text: mailText(confirmation),
      variables,
    },
    {
      slug: templateSlug(OPT_IN_TEMPLATES.reminder, language),
      name: texts.names.reminder,
      subject: texts.reminder.subject,
      previewText: texts.reminder.preview,
      html: mailHtml(reminder),
      text: mailText(reminder),
      variables,
    },
  ];
}

function invitationMail(language: PageLanguage): SystemTemplate {
  const { names, invitation } = MAIL_TEXTS[language];
  const content = { language, url: 'invitation_url', ...invitation };
  return {
    slug: templateSlug(INVITATION_TEMPLATE, language),
    name: names.invitation,
    subject: invitation.subject,
    previewText: invitation.preview,
    html: mailHtml(content),
    text: mailText(content),
    variables: [
      { name: 'invited_by', default: invitation.somebody, description: 'Name of the person who invites' },
      {
        name: 'role',
        default: invitation.member,
        description: 'Role in the workspace: owner, marketer, approver, …',
      },
    ],
  };
}

/**
 * The mails of double opt-in, in every language. They never show what the visitor typed (a name, say): until the
 * confirmation anybody may have typed it, and a stranger's words must not be mailed in the workspace's name. And the one
 * that invites a member.
 */
export const SYSTEM_TEMPLATES: readonly SystemTemplate[] = PAGE_LANGUAGES.flatMap((language) => [
  ...optInMails(language),
  invitationMail(language),
]);
