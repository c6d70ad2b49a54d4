import type { Alignment } from './candidate';

/** What is known of a From domain: the providers named for it; null = it is no sending domain of the workspace. */
export interface DomainAuthentication {
  providers: readonly { providerId: string; dkim: boolean; spf: boolean }[];
}

/**
 * Whether mail of a From domain is authenticated at a provider. Sally's own signature counts where its domain is the
 * From domain, above it or below it (relaxed alignment, RFC 7489, section 3.1.1: both are the operator's own names).
 */
export function alignmentOf(
  fromDomain: string,
  providerId: string,
  signsAs: string | null,
  known: DomainAuthentication | null,
): Alignment {
  const named = known?.providers.find((entry) => entry.providerId === providerId);
  return {
    dkim: (named?.dkim ?? false) || (signsAs !== null && aligns(fromDomain, signsAs)),
    spf: named?.spf ?? false,
    closed: (known?.providers.length ?? 0) > 0,
  };
}

function aligns(fromDomain: string, signingDomain: string): boolean {
  const from = fromDomain.toLowerCase();
  const signing = signingDomain.toLowerCase();
  if (from === signing) return true;
  return (
    (signing.includes('.') && from.endsWith(`.${signing}`)) || (from.includes('.') && signing.endsWith(`.${from}`))
  );
}
