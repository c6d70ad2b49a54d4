import { createDkimSigner } from '../../channels/mime';
import type { Sender } from '../../domain/senders';

/** Signs a composed 7-bit message. */
export type MessageSigner = (content: Buffer) => Promise<Buffer>;

const signers = new WeakMap<Sender, MessageSigner>();

/** The signer of a sender that was given a DKIM key; null when the relay signs. Kept with the sender. */
export function signerOf(sender: Sender): MessageSigner | null {
  // Providers with an API of their own sign what they send.
  if (sender.kind !== 'provider' || sender.providerType !== 'SMTP') return null;
  if (sender.settings.dkim === null || sender.credentials.dkim_private_key === null) return null;
  const known = signers.get(sender);
  if (known) return known;
  const made = createDkimSigner({ ...sender.settings.dkim, privateKey: sender.credentials.dkim_private_key });
  signers.set(sender, made);
  return made;
}
