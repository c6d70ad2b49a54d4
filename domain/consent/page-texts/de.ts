import type { PageTexts } from './en';

export const de: PageTexts = {
  confirm: {
    title: 'Bitte bestätigen Sie Ihre Anmeldung',
    agree: (purpose) => `${purpose}: Sie stimmen dem Folgenden zu.`,
    button: 'Ja, bestätigen',
    note: 'Wenn Sie das nicht angefordert haben, schließen Sie diese Seite. Ohne Ihre Bestätigung geschieht nichts.',
    doneTitle: 'Ihre Anmeldung ist bestätigt',
    done: (purpose) =>
      `Vielen Dank. ${purpose} wurde mit diesem Link bestätigt. Abmelden können Sie sich jederzeit über den Link in jeder E-Mail.`,
    expiredTitle: 'Dieser Link ist abgelaufen',
    expired:
      'Links in Bestätigungsmails gelten nur begrenzte Zeit. Es wurde nichts angemeldet. Wir können eine neue E-Mail an dieselbe Adresse senden.',
    renew: 'Neue E-Mail senden',
    renewedTitle: 'Eine neue E-Mail ist unterwegs',
    renewed:
      'Bitte verwenden Sie den Link in der neuesten E-Mail. An eine Adresse gehen höchstens drei solche E-Mails am Tag; wenn in den nächsten Minuten keine ankommt, sehen Sie im Spam-Ordner nach.',
    againTitle: 'Bitte melden Sie sich noch einmal an',
    again:
      'Dieser Link gehört zu einer Adresse, die nicht mehr hinterlegt ist. Bitte füllen Sie das Formular erneut aus.',
  },
  unsubscribe: {
    title: 'Abmelden',
    lead: 'Was Sie hier auswählen, erhalten Sie nicht mehr. Nachrichten, die Sie brauchen, etwa Rechnungen, kommen weiterhin an.',
    question: 'Was möchten Sie nicht mehr erhalten?',
    onlyCategory: (category) => `Nur „${category}“`,
    everything: (sender) => `Alle Mailings von ${sender}`,
    button: 'Abmelden',
    note: 'Noch ist nichts geändert: erst die Schaltfläche meldet Sie ab.',
    doneTitle: 'Sie sind abgemeldet',
    doneCategory: (category) => `Sie erhalten „${category}“ nicht mehr.`,
    doneEverything: (sender) => `Sie erhalten keine Mailings von ${sender} mehr.`,
    changeMind: 'Wenn Sie es sich anders überlegen, melden Sie sich einfach wieder an.',
    unclearTitle: 'Es wurde nichts geändert',
    unclear:
      'Die Anfrage sagte nicht, wovon Sie sich abmelden möchten. Bitte öffnen Sie den Link erneut und verwenden Sie die Schaltfläche.',
    more: 'Auswählen, was Sie erhalten und wie oft',
  },
  preferences: {
    title: 'Ihre E-Mail-Einstellungen',
    lead: (sender) => `Wählen Sie, was ${sender} Ihnen senden darf und wie oft.`,
    receive: 'Diese Nachrichten erhalten',
    frequency: (category) => `Wie oft: ${category}`,
    frequencies: {
      IMMEDIATE: 'Sobald sie erscheinen',
      DAILY: 'Höchstens eine am Tag',
      WEEKLY: 'Höchstens eine in der Woche',
      MONTHLY: 'Höchstens eine im Monat',
    },
    save: 'Auswahl speichern',
    saved: 'Ihre Auswahl ist gespeichert. Sie gilt ab sofort.',
    nothingToChoose: 'Es gibt keine Arten von Nachrichten zur Auswahl.',
    allTitle: 'Alles abbestellen',
    allLead: (sender) =>
      `Keine Mailings von ${sender} mehr. Nachrichten, die Sie brauchen, etwa Rechnungen, kommen weiterhin an.`,
    allButton: 'Von allem abmelden',
    unsubscribed: (sender) => `Sie erhalten keine Mailings von ${sender}: Sie haben sich von allem abgemeldet.`,
    againLead:
      'Wenn Sie sie wieder erhalten möchten, senden wir eine E-Mail mit einem Link an Ihre Adresse. Angemeldet sind Sie erst, wenn Sie ihn öffnen und bestätigen.',
    againButton: 'Wieder anmelden',
    againTitle: 'Eine E-Mail ist unterwegs',
    againDone:
      'Bitte öffnen Sie die E-Mail und bestätigen Sie. Bis dahin ändert sich nichts. Wenn in den nächsten Minuten keine ankommt, sehen Sie im Spam-Ordner nach.',
    undeliverable:
      'E-Mails an Ihre Adresse kamen zurück oder wurden als unerwünscht gemeldet, deshalb wird nichts an sie gesendet.',
    testLead: 'Dieser Link stammt aus einer Testmail. Er zeigt, was Empfänger sehen, und ändert nichts.',
  },
  invitation: {
    title: (workspace) => `Sie sind zu ${workspace} eingeladen`,
    lead: (role) => `Ihre Rolle dort ist ${role}. Geben Sie Ihren Namen und ein Passwort für Ihr Konto an.`,
    known: 'Wenn es zu Ihrer Adresse hier schon ein Konto gibt, geben Sie dessen Passwort an.',
    name: 'Ihr Name',
    password: 'Passwort (mindestens 12 Zeichen)',
    button: 'Einladung annehmen',
    doneTitle: 'Willkommen',
    done: (workspace) => `Sie sind jetzt Mitglied von ${workspace}. Melden Sie sich mit Adresse und Passwort an.`,
    endedTitle: 'Diese Einladung gilt nicht mehr',
    ended: 'Sie wurde verwendet, widerrufen oder ist abgelaufen. Bitten Sie um eine neue.',
    wrong: 'Das hat nicht geklappt',
    nameWrong: 'Geben Sie Ihren Namen an, mit höchstens 200 Zeichen.',
    passwordShort: 'Das Passwort muss 12 bis 200 Zeichen haben.',
    passwordWrong: 'Zu Ihrer Adresse gibt es hier schon ein Konto, und das ist nicht dessen Passwort.',
    conflict: 'Vielleicht sind Sie schon Mitglied. Melden Sie sich an, oder öffnen Sie den Link noch einmal.',
  },
  unknownTitle: 'Dieser Link funktioniert nicht',
  unknown:
    'Vielleicht hat ihn ein Mailprogramm abgeschnitten. Bitte öffnen Sie ihn noch einmal aus der E-Mail oder kopieren Sie ihn ganz.',
  tooManyTitle: 'Zu viele Anfragen',
  tooMany: (seconds) => `Bitte versuchen Sie es in ${seconds} Sekunden noch einmal.`,
  privacy: 'Datenschutz',
  imprint: 'Impressum',
};
