import type { AnyRoute } from './http/route';

/** Every operation of the API, by area. */
export const routes: AnyRoute[] = [];
