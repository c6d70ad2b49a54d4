import type { Capabilities } from './capabilities';

/** How Sally proves who it is to the relay. An access token is asked for anew on each connection: it expires. */
export type Credentials =
  | { kind: 'password'; username: string; password: string; mechanism: 'PLAIN' | 'LOGIN' | null }
  | { kind: 'oauth2'; username: string; accessToken: () => Promise<string> };

/** The lines of one AUTH dialogue: the first command, then an answer to each 334. */
export interface AuthenticationDialogue {
  mechanism: 'PLAIN' | 'LOGIN' | 'XOAUTH2';
  lines: string[];
}

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/**
 * Chooses a mechanism the server offers and prepares its lines: PLAIN (RFC 4616) before LOGIN; XOAUTH2 with a token.
 * @returns null when the server offers none we can use
 */
export async function prepareAuthentication(
  credentials: Credentials,
  capabilities: Capabilities,
): Promise<AuthenticationDialogue | null> {
  const offered = capabilities.authentication;
  if (credentials.kind === 'oauth2') {
    if (!offered.has('XOAUTH2')) {
      return null;
    }
    const token = await credentials.accessToken();
    // After a refusal the server sends a 334 with details and wants an empty line before it says 535.
    const first = `AUTH XOAUTH2 ${base64(`user=${credentials.username}\x01auth=Bearer ${token}\x01\x01`)}`;
    return { mechanism: 'XOAUTH2', lines: [first, ''] };
  }
  const wanted = credentials.mechanism === null ? (['PLAIN', 'LOGIN'] as const) : [credentials.mechanism];
  const mechanism = wanted.find((name) => offered.has(name));
  switch (mechanism) {
    case undefined:
      return null;
    case 'PLAIN':
      return { mechanism, lines: [`AUTH PLAIN ${base64(`\0${credentials.username}\0${credentials.password}`)}`] };
    case 'LOGIN':
      return { mechanism, lines: ['AUTH LOGIN', base64(credentials.username), base64(credentials.password)] };
  }
}
