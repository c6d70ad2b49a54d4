import type { AnyRoute } from '../http/route';
import { messageRoutes } from './messages';
import { previewRoutes } from './preview';
import { templateRoutes } from './templates';

export { lintContent } from './lint';
export { messageDocument, showMessage } from './messages';
export { bodyTemplate, CONTENT_BODY_LIMIT, contextValues, subjectTemplate, warning } from './schemas';
export {
  approveBySubmitting,
  authorsOf,
  freezeTexts,
  isInForce,
  submitMessage,
  writtenIn,
} from './submission';

export const contentRoutes: AnyRoute[] = [...templateRoutes, ...previewRoutes, ...messageRoutes];
