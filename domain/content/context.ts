/** Plain JSON values by name. */
export type RenderContext = Readonly<Record<string, unknown>>;

/**
 * What templates can use, and where it comes from. Later layers win:
 *
 *   workspace < template defaults < campaign.template_context < contact < delivery.context < system
 *
 * null (and undefined) counts as missing in every layer: it neither hides the value of a lower layer nor defeats
 * Jinja's `default` filter. Empty name parts count as missing too, so that `{{ first_name|default("there") }}` does
 * what its author means. Layers are merged by top-level name; objects are replaced as a whole.
 */
export interface ContextLayers {
  readonly workspace?: RenderContext | undefined;
  /** Of the template's declared variables. */
  readonly templateDefaults?: RenderContext | undefined;
  readonly campaign?: RenderContext | undefined;
  readonly contact?: ContactForContext | null | undefined;
  readonly delivery?: RenderContext | null | undefined;
  readonly system?: SystemVariables | undefined;
}

export interface ContactForContext {
  readonly email: string;
  readonly firstName?: string | null | undefined;
  readonly lastName?: string | null | undefined;
  readonly locale?: string | null | undefined;
  readonly timeZone?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly fields?: RenderContext | undefined;
}

/** Set by Sally, last, so that no data can forge them. Those with an underscore are for compiled templates only. */
export interface SystemVariables {
  readonly unsubscribe_url?: string | undefined;
  readonly preferences_url?: string | undefined;
  /** Double opt-in. */
  readonly confirm_url?: string | undefined;
  /** Invitations of members. */
  readonly invitation_url?: string | undefined;
  /** Content gates. */
  readonly gate_url?: string | undefined;
  readonly _click_base?: string | undefined;
  readonly _open_url?: string | undefined;
}

/** Names that every template may use without declaring them. */
export const CONTACT_VARIABLES = [
  'email',
  'first_name',
  'last_name',
  'recipient_name',
  'locale',
  'time_zone',
  'tags',
  'fields',
] as const;
export const SYSTEM_VARIABLES = [
  'unsubscribe_url',
  'preferences_url',
  'confirm_url',
  'invitation_url',
  'gate_url',
] as const;
/** The workspace layer. */
export const WORKSPACE_VARIABLES = ['workspace_name', 'workspace_address'] as const;
export const BUILT_IN_VARIABLES: ReadonlySet<string> = new Set([
  ...CONTACT_VARIABLES,
  ...SYSTEM_VARIABLES,
  ...WORKSPACE_VARIABLES,
]);

/** The context of one message. */
export function buildContext(layers: ContextLayers): RenderContext {
  return addRecipient(campaignConstants(layers), layers);
}

/** The layers that are the same for every recipient; merge them once and use `addRecipient` per message. */
export function campaignConstants({ workspace, templateDefaults, campaign }: ContextLayers): RenderContext {
  const context: Record<string, unknown> = {};
  addLayer(context, workspace);
  addLayer(context, templateDefaults);
  addLayer(context, campaign);
  return context;
}

/** Puts a recipient's layers over the constants. */
export function addRecipient(constants: RenderContext, { contact, delivery, system }: RecipientLayers): RenderContext {
  const context: Record<string, unknown> = { ...constants };
  if (contact) addContact(context, contact);
  addLayer(context, delivery);
  addLayer(context, system);
  return context;
}

export type RecipientLayers = Pick<ContextLayers, 'contact' | 'delivery' | 'system'>;

/** One value of `addRecipient(constants, recipient)`, without building it; undefined if it has none. */
export function lookUp(
  name: string,
  constants: RenderContext,
  { contact, delivery, system }: RecipientLayers,
): unknown {
  return own(system, name) ?? own(delivery, name) ?? contactValue(contact, name) ?? own(constants, name) ?? undefined;
}

/**
 * The constants that no recipient's data can override, so that links made of them can be tracked (`CompileOptions`).
 * @param fieldKeys the workspace's custom fields, which stand at the top level too
 */
export function trackableConstants(constants: RenderContext, fieldKeys: Iterable<string>): RenderContext {
  const context = { ...constants };
  for (const name of [...CONTACT_VARIABLES, ...SYSTEM_VARIABLES, ...fieldKeys]) delete context[name];
  return context;
}

/** "Ada Lovelace", or what there is of it; null if there is nothing. */
export function recipientName(contact: Pick<ContactForContext, 'firstName' | 'lastName'>): string | null {
  const first = contact.firstName ?? '';
  const last = contact.lastName ?? '';
  if (first !== '' && last !== '') return `${first} ${last}`;
  return first || last || null;
}

function addContact(context: Record<string, unknown>, contact: ContactForContext): void {
  // Custom fields can't be named like the properties (`RESERVED_FIELD_KEYS`), and must never replace them.
  for (const name of [...Object.keys(contact.fields ?? {}), ...CONTACT_VARIABLES]) {
    const value = contactValue(contact, name);
    if (value !== undefined && value !== null && name !== '__proto__') context[name] = value;
  }
}

function contactValue(contact: ContactForContext | null | undefined, name: string): unknown {
  if (!contact) return undefined;
  switch (name) {
    case 'email':
      return contact.email;
    case 'first_name':
      return contact.firstName || undefined;
    case 'last_name':
      return contact.lastName || undefined;
    case 'recipient_name':
      return recipientName(contact);
    case 'locale':
      return contact.locale || undefined;
    case 'time_zone':
      return contact.timeZone || undefined;
    case 'tags':
      return contact.tags;
    case 'fields':
      return contact.fields ?? NO_FIELDS;
    default:
      return own(contact.fields, name);
  }
}

const NO_FIELDS: RenderContext = {};

function own(layer: object | null | undefined, name: string): unknown {
  return layer && Object.hasOwn(layer, name) ? Reflect.get(layer, name) : undefined;
}

function addLayer(context: Record<string, unknown>, layer: object | null | undefined): void {
  if (!layer) return;
  for (const [name, value] of Object.entries(layer)) {
    if (value !== null && value !== undefined && name !== '__proto__') context[name] = value;
  }
}
