import type { PageLanguage } from './page-texts';

const en = {
  names: {
    confirmation: 'Opt-in confirmation',
    reminder: 'Opt-in reminder',
    invitation: 'Invitation of a member',
  },
  ourMailings: 'our mailings',
  button: 'Confirm your subscription',
  invite: 'To confirm, open this page and press the button:',
  ignore: 'If this was not you, do nothing: without your confirmation you will get no mail of this kind.',
  confirmation: {
    subject: 'Please confirm: {{ purpose_name }} from {{ workspace_name }}',
    preview: 'One click and you are subscribed.',
    heading: 'Please confirm your subscription',
    lead: 'Somebody, probably you, asked for {{ purpose_name }} to be sent to this address. Please confirm it.',
  },
  reminder: {
    subject: 'Still interested? {{ purpose_name }} from {{ workspace_name }}',
    preview: 'Your subscription is waiting for your confirmation.',
    heading: 'Your subscription is not confirmed yet',
    lead: 'A few days ago somebody, probably you, asked for {{ purpose_name }}. It is not confirmed yet.',
    only: 'This is the only reminder.',
  },
  invitation: {
    subject: 'You are invited to {{ workspace_name }}',
    preview: 'Choose a password and you are in.',
    heading: 'You are invited',
    lead: '{{ invited_by }} invites you to work in {{ workspace_name }} as {{ role }}.',
    button: 'Accept the invitation',
    invite: 'To accept, open this page and choose a password:',
    note: 'The invitation lasts seven days. If you did not expect it, do nothing.',
    somebody: 'Somebody',
    member: 'member',
  },
};

/** What the system's mails say. */
export type MailTexts = typeof en;

const de: MailTexts = {
  names: {
    confirmation: 'Opt-in confirmation (German)',
    reminder: 'Opt-in reminder (German)',
    invitation: 'Invitation of a member (German)',
  },
  ourMailings: 'unsere Mailings',
  button: 'Abonnement bestätigen',
  invite: 'Zum Bestätigen öffnen Sie diese Seite und drücken den Knopf:',
  ignore: 'Wenn Sie das nicht waren, tun Sie nichts: Ohne Ihre Bestätigung bekommen Sie keine solchen E-Mails.',
  confirmation: {
    subject: 'Bitte bestätigen Sie: {{ purpose_name }} von {{ workspace_name }}',
    preview: 'Ein Klick, und Sie sind dabei.',
    heading: 'Bitte bestätigen Sie Ihr Abonnement',
    lead: 'Jemand, wahrscheinlich Sie, hat „{{ purpose_name }}“ an diese Adresse bestellt. Bitte bestätigen Sie das.',
  },
  reminder: {
    subject: 'Noch interessiert? {{ purpose_name }} von {{ workspace_name }}',
    preview: 'Ihr Abonnement wartet auf Ihre Bestätigung.',
    heading: 'Ihr Abonnement ist noch nicht bestätigt',
    lead: 'Vor einigen Tagen hat jemand, wahrscheinlich Sie, „{{ purpose_name }}“ bestellt. Das ist noch nicht bestätigt.',
    only: 'Dies ist die einzige Erinnerung.',
  },
  invitation: {
    subject: 'Sie sind zu {{ workspace_name }} eingeladen',
    preview: 'Wählen Sie ein Passwort, und Sie sind dabei.',
    heading: 'Sie sind eingeladen',
    lead: '{{ invited_by }} lädt Sie ein, in {{ workspace_name }} mitzuarbeiten. Ihre Rolle dort: {{ role }}.',
    button: 'Einladung annehmen',
    invite: 'Zum Annehmen öffnen Sie diese Seite und wählen ein Passwort:',
    note: 'Die Einladung gilt sieben Tage. Wenn Sie sie nicht erwartet haben, tun Sie nichts.',
    somebody: 'Jemand',
    member: 'Mitglied',
  },
};

const fr: MailTexts = {
  names: {
    confirmation: 'Opt-in confirmation (French)',
    reminder: 'Opt-in reminder (French)',
    invitation: 'Invitation of a member (French)',
  },
  ourMailings: 'nos envois',
  button: 'Confirmer l’abonnement',
  invite: 'Pour confirmer, ouvrez cette page et appuyez sur le bouton :',
  ignore:
    'Si ce n’était pas vous, ne faites rien : sans votre confirmation, vous ne recevrez aucun e-mail de ce genre.',
  confirmation: {
    subject: 'Veuillez confirmer : {{ purpose_name }} de {{ workspace_name }}',
    preview: 'Un clic, et vous êtes abonné.',
    heading: 'Veuillez confirmer votre abonnement',
    lead: 'Quelqu’un, probablement vous, a demandé « {{ purpose_name }} » à cette adresse. Veuillez le confirmer.',
  },
  reminder: {
    subject: 'Toujours intéressé ? {{ purpose_name }} de {{ workspace_name }}',
    preview: 'Votre abonnement attend votre confirmation.',
    heading: 'Votre abonnement n’est pas encore confirmé',
    lead: 'Il y a quelques jours, quelqu’un, probablement vous, a demandé « {{ purpose_name }} ». Ce n’est pas encore confirmé.',
    only: 'Ceci est le seul rappel.',
  },
  invitation: {
    subject: 'Vous êtes invité à rejoindre {{ workspace_name }}',
    preview: 'Choisissez un mot de passe, et c’est fait.',
    heading: 'Vous êtes invité',
    lead: '{{ invited_by }} vous invite à travailler dans {{ workspace_name }}. Votre rôle y sera : {{ role }}.',
    button: 'Accepter l’invitation',
    invite: 'Pour accepter, ouvrez cette page et choisissez un mot de passe :',
    note: 'L’invitation est valable sept jours. Si vous ne l’attendiez pas, ne faites rien.',
    somebody: 'Quelqu’un',
    member: 'membre',
  },
};

export const MAIL_TEXTS: Record<PageLanguage, MailTexts> = { en, de, fr };
