import type { AnyRoute } from '../http/route';
import { contactRoutes } from './contacts';
import { fieldRoutes } from './fields';
import { importRoutes } from './imports';
import { contactJobRoutes } from './jobs';
import { mergeRoutes } from './merge';
import { rebuildRoutes } from './rebuild';
import { uploadRoutes } from './uploads';
import { upsertRoutes } from './upsert';

/** Operations of the contacts area. */
export const contactsRoutes: AnyRoute[] = [
  ...contactRoutes,
  ...fieldRoutes,
  ...uploadRoutes,
  ...importRoutes,
  ...contactJobRoutes,
  ...upsertRoutes,
  ...mergeRoutes,
  ...rebuildRoutes,
];
