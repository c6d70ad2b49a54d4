import type { PageLanguage } from '../consent';

interface GateTexts {
  goneTitle: string;
  gone: string;
  conditionsTitle: string;
  conditions: string;
}

/** What a visitor reads whose link does not open the gate. */
export const GATE_TEXTS: Record<PageLanguage, GateTexts> = {
  en: {
    goneTitle: 'This link no longer works',
    gone: 'Its time is over, or it has been used as often as it may be. Please ask for a new one.',
    conditionsTitle: 'One thing is still missing',
    conditions:
      'If you were asked to confirm your subscription, please do so first: we sent you a mail. Then open this link again.',
  },
  de: {
    goneTitle: 'Dieser Link funktioniert nicht mehr',
    gone: 'Seine Zeit ist abgelaufen, oder er wurde so oft benutzt, wie es möglich war. Bitte fordern Sie einen neuen an.',
    conditionsTitle: 'Etwas fehlt noch',
    conditions:
      'Falls Sie Ihr Abonnement bestätigen sollten, tun Sie das bitte zuerst: Wir haben Ihnen eine E-Mail geschickt. Öffnen Sie dann diesen Link erneut.',
  },
  fr: {
    goneTitle: 'Ce lien ne fonctionne plus',
    gone: 'Il a expiré ou a été utilisé autant de fois que permis. Veuillez en demander un nouveau.',
    conditionsTitle: 'Il manque encore quelque chose',
    conditions:
      'Si nous vous avons demandé de confirmer votre abonnement, faites-le d’abord : nous vous avons envoyé un e-mail. Ouvrez ensuite ce lien à nouveau.',
  },
};
