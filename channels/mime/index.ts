export { type Compose, type ComposedMessage, createComposer, type FixedHeader, type PersonalPart } from './composer';
export { createDkimSigner, type DkimKey, type DkimSigner } from './dkim';
export { type Mailbox, oneLine } from './header';
export { MimeError } from './mime-error';
