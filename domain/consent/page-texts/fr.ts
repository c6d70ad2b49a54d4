import type { PageTexts } from './en';

export const fr: PageTexts = {
  confirm: {
    title: 'Veuillez confirmer votre inscription',
    agree: (purpose) => `${purpose} : vous acceptez ce qui suit.`,
    button: 'Oui, je confirme',
    note: 'Si vous n’avez rien demandé, fermez cette page. Rien ne se passe sans votre confirmation.',
    doneTitle: 'Votre inscription est confirmée',
    done: (purpose) =>
      `Merci. ${purpose} a été confirmé avec ce lien. Vous pouvez vous désinscrire à tout moment grâce au lien présent dans chaque e-mail.`,
    expiredTitle: 'Ce lien a expiré',
    expired:
      'Les liens des e-mails de confirmation ne fonctionnent que pendant un temps limité. Aucune inscription n’a été faite. Nous pouvons envoyer un nouvel e-mail à la même adresse.',
    renew: 'Envoyez-moi un nouvel e-mail',
    renewedTitle: 'Un nouvel e-mail est en route',
    renewed:
      'Utilisez le lien du dernier e-mail reçu. Une adresse reçoit au plus trois de ces e-mails par jour ; si rien n’arrive dans quelques minutes, regardez dans vos indésirables.',
    againTitle: 'Veuillez vous inscrire à nouveau',
    again: 'Ce lien correspond à une adresse qui n’est plus enregistrée. Veuillez remplir à nouveau le formulaire.',
  },
  unsubscribe: {
    title: 'Se désinscrire',
    lead: 'Vous ne recevrez plus ce que vous choisissez ici. Les messages dont vous avez besoin, comme les reçus, vous parviennent toujours.',
    question: 'Que souhaitez-vous ne plus recevoir ?',
    onlyCategory: (category) => `Seulement « ${category} »`,
    everything: (sender) => `Tous les e-mails de ${sender}`,
    button: 'Me désinscrire',
    note: 'Rien n’a encore changé : il faut utiliser le bouton.',
    doneTitle: 'Vous êtes désinscrit',
    doneCategory: (category) => `Vous ne recevrez plus « ${category} ».`,
    doneEverything: (sender) => `Vous ne recevrez plus d’e-mails de ${sender}.`,
    changeMind: 'Si vous changez d’avis, inscrivez-vous à nouveau.',
    unclearTitle: 'Rien n’a été modifié',
    unclear:
      'La demande ne disait pas de quoi vous désinscrire. Veuillez ouvrir à nouveau le lien et utiliser le bouton.',
    more: 'Choisir ce que vous recevez et à quelle fréquence',
  },
  preferences: {
    title: 'Vos préférences d’e-mail',
    lead: (sender) => `Choisissez ce que ${sender} peut vous envoyer, et à quelle fréquence.`,
    receive: 'Recevoir ces messages',
    frequency: (category) => `Fréquence : ${category}`,
    frequencies: {
      IMMEDIATE: 'Dès leur parution',
      DAILY: 'Au plus un par jour',
      WEEKLY: 'Au plus un par semaine',
      MONTHLY: 'Au plus un par mois',
    },
    save: 'Enregistrer mon choix',
    saved: 'Votre choix est enregistré. Il s’applique dès maintenant.',
    nothingToChoose: 'Il n’y a aucun type de message à choisir.',
    allTitle: 'Tout arrêter',
    allLead: (sender) =>
      `Plus aucun e-mail de ${sender}. Les messages dont vous avez besoin, comme les reçus, vous parviennent toujours.`,
    allButton: 'Me désinscrire de tout',
    unsubscribed: (sender) => `Vous ne recevez aucun e-mail de ${sender} : vous vous êtes désinscrit de tout.`,
    againLead:
      'Si vous souhaitez en recevoir à nouveau, nous envoyons à votre adresse un e-mail avec un lien. Vous serez inscrit une fois que vous l’aurez ouvert et confirmé.',
    againButton: 'M’inscrire à nouveau',
    againTitle: 'Un e-mail est en route',
    againDone:
      'Veuillez ouvrir l’e-mail et confirmer. Rien ne change avant cela. Si rien n’arrive dans quelques minutes, regardez dans vos indésirables.',
    undeliverable:
      'Des e-mails envoyés à votre adresse sont revenus ou ont été signalés comme indésirables : rien n’y est donc envoyé.',
    testLead: 'Ce lien provient d’un e-mail de test. Il montre ce que voient les destinataires et ne change rien.',
  },
  invitation: {
    title: (workspace) => `Vous êtes invité à rejoindre ${workspace}`,
    lead: (role) => `Votre rôle y sera : ${role}. Indiquez votre nom et un mot de passe pour votre compte.`,
    known: 'Si votre adresse a déjà un compte ici, indiquez le mot de passe de ce compte.',
    name: 'Votre nom',
    password: 'Mot de passe (au moins 12 caractères)',
    button: 'Accepter l’invitation',
    doneTitle: 'Bienvenue',
    done: (workspace) =>
      `Vous êtes maintenant membre de ${workspace}. Connectez-vous avec votre adresse et votre mot de passe.`,
    endedTitle: 'Cette invitation n’est plus valable',
    ended: 'Elle a été utilisée, révoquée ou a expiré. Demandez-en une nouvelle.',
    wrong: 'Cela n’a pas fonctionné',
    nameWrong: 'Indiquez votre nom, en 200 caractères au plus.',
    passwordShort: 'Le mot de passe doit avoir de 12 à 200 caractères.',
    passwordWrong: 'Votre adresse a déjà un compte ici, et ce n’est pas son mot de passe.',
    conflict: 'Vous êtes peut-être déjà membre. Connectez-vous, ou ouvrez à nouveau le lien.',
  },
  unknownTitle: 'Ce lien ne fonctionne pas',
  unknown:
    'Un programme de messagerie l’a peut-être coupé. Veuillez l’ouvrir à nouveau depuis l’e-mail, ou le copier en entier.',
  tooManyTitle: 'Trop de demandes',
  tooMany: (seconds) => `Veuillez réessayer dans ${seconds} secondes.`,
  privacy: 'Protection des données',
  imprint: 'Mentions légales',
};
