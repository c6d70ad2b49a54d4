/** The readable page of an OpenAPI document; filled in below. */
export function docsPage(document: Record<string, unknown>): { html: string; css: string; js: string } {
  return { html: `<!doctype html><title>${String(document.openapi)}</title>`, css: '', js: '' };
}
