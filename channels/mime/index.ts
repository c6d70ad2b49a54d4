export { type Compose, createComposer, type FixedHeader, type PersonalPart } from './composer';
export { createDkimSigner } from './dkim';
export type { Mailbox } from './header';
export { MimeError } from './mime-error';
export { structure } from './structured';
