import type { AnyRoute } from '../http/route';
import { categoryRoutes } from './categories';
import { confirmPages } from './confirm-pages';
import { consentRoutes } from './consents';
import { contactPreferenceRoutes } from './contact-preferences';
import { evidenceRoutes } from './evidence';
import { preferenceRoutes } from './preferences';
import { purposeRoutes } from './purposes';
import { signUpRoutes } from './sign-up';
import { suppressionUploadRoutes } from './suppression-upload';
import { suppressionRoutes } from './suppressions';
import { themeRoutes } from './theme';
import { unsubscribePages } from './unsubscribe-pages';

export { checkProfile, findPublicWorkspace } from './sign-up';
export { visitorOf } from './visitor';

/** Operations and public pages of the consent area. */
export const consentAreaRoutes: AnyRoute[] = [
  ...purposeRoutes,
  ...categoryRoutes,
  ...consentRoutes,
  ...signUpRoutes,
  ...suppressionRoutes,
  ...suppressionUploadRoutes,
  ...confirmPages,
  ...unsubscribePages,
  ...preferenceRoutes,
  ...contactPreferenceRoutes,
  ...evidenceRoutes,
  ...themeRoutes,
];
