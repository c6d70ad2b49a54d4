/** Texts of the public pages. Plain text: the pages escape it. The other languages have the same shape. */
export const en = {
  confirm: {
    title: 'Please confirm your subscription',
    agree: (purpose: string) => `${purpose}: you agree to the following.`,
    button: 'Yes, confirm',
    note: 'If you did not ask for this, close this page. Nothing happens without your confirmation.',
    doneTitle: 'Your subscription is confirmed',
    done: (purpose: string) =>
      `Thank you. ${purpose} was confirmed with this link. You can unsubscribe at any time with the link in every mail.`,
    expiredTitle: 'This link has expired',
    expired:
      'Links in confirmation mails work for a limited time only. Nothing was subscribed. We can send a new mail to the same address.',
    renew: 'Send me a new mail',
    renewedTitle: 'A new mail is on its way',
    renewed:
      'Please use the link in the newest mail. At most three such mails go to one address in a day; if none arrives within a few minutes, look into the spam folder.',
    againTitle: 'Please sign up again',
    again: 'This link belongs to an address that is no longer on file. Please fill in the form once more.',
  },
  unsubscribe: {
    title: 'Unsubscribe',
    lead: 'You will get no more of what you choose here. Messages that you need, such as receipts, still reach you.',
    question: 'What would you like to stop?',
    onlyCategory: (category: string) => `Only “${category}”`,
    everything: (sender: string) => `All mailings of ${sender}`,
    button: 'Unsubscribe',
    note: 'Nothing has changed yet: it takes the button.',
    doneTitle: 'You are unsubscribed',
    doneCategory: (category: string) => `You will not get “${category}” any more.`,
    doneEverything: (sender: string) => `You will not get any mailings of ${sender} any more.`,
    changeMind: 'If you change your mind, sign up again.',
    unclearTitle: 'Nothing was changed',
    unclear: 'The request did not say what to unsubscribe from. Please open the link again and use the button.',
    more: 'Choose what you get, and how often',
  },
  preferences: {
    title: 'Your mail preferences',
    lead: (sender: string) => `Choose what ${sender} may send you, and how often.`,
    receive: 'Send me these messages',
    frequency: (category: string) => `How often: ${category}`,
    frequencies: {
      IMMEDIATE: 'As they appear',
      DAILY: 'At most one a day',
      WEEKLY: 'At most one a week',
      MONTHLY: 'At most one a month',
    },
    save: 'Save my choice',
    saved: 'Your choice is saved. It holds from now on.',
    nothingToChoose: 'There are no kinds of messages to choose from.',
    allTitle: 'Stop everything',
    allLead: (sender: string) =>
      `No mailings of ${sender} any more. Messages that you need, such as receipts, still reach you.`,
    allButton: 'Unsubscribe from everything',
    unsubscribed: (sender: string) => `You get no mailings of ${sender}: you have unsubscribed from everything.`,
    againLead:
      'If you would like to get them again, we send a mail with a link to your address. You are subscribed once you open it and confirm.',
    againButton: 'Subscribe again',
    againTitle: 'A mail is on its way',
    againDone:
      'Please open the mail and confirm. Until then nothing changes. If none arrives within a few minutes, look into the spam folder.',
    undeliverable: 'Mail to your address came back or was reported as unwanted, so nothing is sent to it.',
    testLead: 'This link comes from a test mail. It shows what recipients see and changes nothing.',
  },
  invitation: {
    title: (workspace: string) => `You are invited to ${workspace}`,
    lead: (role: string) => `You will work there as ${role}. Give your name and a password for your account.`,
    known: 'If your address has an account here already, give the password of that account.',
    name: 'Your name',
    password: 'Password (at least 12 characters)',
    button: 'Accept the invitation',
    doneTitle: 'Welcome',
    done: (workspace: string) => `You are a member of ${workspace} now. Sign in with your address and your password.`,
    endedTitle: 'This invitation has ended',
    ended: 'It was used, was revoked or has expired. Ask for a new one.',
    wrong: 'That did not work',
  },
  unknownTitle: 'This link does not work',
  unknown: 'It may have been cut off by a mail program. Please open it from the mail again, or copy all of it.',
  tooManyTitle: 'Too many requests',
  tooMany: (seconds: string) => `Please try again in ${seconds} seconds.`,
  privacy: 'Privacy policy',
  imprint: 'Legal notice',
};

/** What every language says. */
export type PageTexts = typeof en;
