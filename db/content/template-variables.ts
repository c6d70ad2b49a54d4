/** A variable that a template declares (`template_versions.variables`). */
export interface TemplateVariable {
  name: string;
  /** Used where no layer of the context has a value. */
  default?: unknown;
  /** Transactional mail without it is refused. */
  required?: boolean;
  description?: string;
}

/** The context layer of a template's defaults. */
export function defaultsOf(variables: readonly TemplateVariable[]): Record<string, unknown> {
  return Object.fromEntries(
    variables
      .filter((variable) => variable.default !== undefined && variable.default !== null)
      .map((variable) => [variable.name, variable.default]),
  );
}
