import type { FieldDefinition } from './field-definitions';

/** Where a CSV column goes. Custom fields are named `fields.<key>`. */
export type ImportTarget = 'email' | 'first_name' | 'last_name' | 'locale' | 'time_zone' | 'tags' | `fields.${string}`;

export interface MappedColumn {
  /** Position in the row, from 0. */
  readonly index: number;
  readonly header: string;
  readonly target: ImportTarget;
  /** Of a custom field. */
  readonly definition: FieldDefinition | null;
}

export interface HeaderMapping {
  readonly columns: readonly MappedColumn[];
  /** Headers that go nowhere. */
  readonly ignored: readonly string[];
  /** Cells per row. */
  readonly width: number;
  /** All of the workspace's definitions, for defaults and required fields. */
  readonly definitions: readonly FieldDefinition[];
}

export interface MappingError {
  readonly code:
    | 'EMPTY_HEADER'
    | 'NO_EMAIL_COLUMN'
    | 'DUPLICATE_MAPPING'
    | 'UNKNOWN_TARGET'
    | 'UNKNOWN_COLUMN'
    | 'AMBIGUOUS_COLUMN';
  /** The header concerned, if it is one. */
  readonly column: string | null;
  readonly message: string;
}

export type MappedHeaders =
  | { readonly ok: true; readonly mapping: HeaderMapping }
  | { readonly ok: false; readonly errors: readonly MappingError[] };

/** Header → target; null or "ignore" leaves the column out. Columns that are not named are guessed. */
export type ExplicitMapping = Readonly<Record<string, string | null>>;

/** Headers as exports write them, without case, accents, spaces and punctuation. */
const GUESSES: Record<Exclude<ImportTarget, `fields.${string}`>, readonly string[]> = {
  email: [
    'email',
    'emailaddress',
    'mail',
    'mailaddress',
    'emailadresse',
    'adresseemail',
    'correo',
    'correoelectronico',
    'epost',
  ],
  first_name: ['firstname', 'givenname', 'forename', 'vorname', 'prenom', 'nombre', 'voornaam', 'fname'],
  last_name: [
    'lastname',
    'surname',
    'familyname',
    'nachname',
    'familienname',
    'nomdefamille',
    'apellido',
    'apellidos',
    'achternaam',
    'lname',
  ],
  locale: ['locale', 'language', 'lang', 'preferredlanguage', 'sprache', 'langue', 'idioma'],
  time_zone: ['timezone', 'tz', 'timezoneid', 'zeitzone', 'fuseauhoraire', 'zonahoraria'],
  tags: ['tags', 'tag', 'labels', 'schlagworte', 'etiquetas'],
};

/**
 * Decides where each column of a CSV goes: first what the user says, then the workspace's custom fields by key, then
 * the usual names. Every error is reported, not only the first.
 */
export function mapHeaders(
  headers: readonly string[],
  definitions: readonly FieldDefinition[],
  explicit: ExplicitMapping = {},
): MappedHeaders {
  const names = headers.map((header) => header.replace(/^\ufeff/, '').trim());
  if (names.every((name) => name === '')) {
    return {
      ok: false,
      errors: [{ code: 'EMPTY_HEADER', column: null, message: 'the first row must name the columns' }],
    };
  }
  const errors = explicitErrors(names, explicit);
  const byTarget = new Map<ImportTarget, MappedColumn>();
  const ignored: string[] = [];
  names.forEach((header, index) => {
    const wanted = Object.hasOwn(explicit, header) ? explicit[header] : guessTarget(header, definitions);
    if (wanted === null || wanted === undefined || wanted === 'ignore') {
      ignored.push(header);
      return;
    }
    const target = resolveTarget(wanted, definitions);
    if (target === null) {
      errors.push({
        code: 'UNKNOWN_TARGET',
        column: header,
        message: `"${wanted}" is no contact property or custom field`,
      });
      return;
    }
    const earlier = byTarget.get(target.target);
    if (earlier !== undefined) {
      const message = `columns "${earlier.header}" and "${header}" both map to ${target.target}; map one of them to "ignore"`;
      errors.push({ code: 'DUPLICATE_MAPPING', column: header, message });
      return;
    }
    byTarget.set(target.target, { index, header, ...target });
  });
  if (!byTarget.has('email') && !errors.some(({ code }) => code === 'UNKNOWN_TARGET')) {
    errors.push({
      code: 'NO_EMAIL_COLUMN',
      column: null,
      message: `no column holds the e-mail address; found: ${names.join(', ').slice(0, 500)}`,
    });
  }
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, mapping: { columns: [...byTarget.values()], ignored, width: headers.length, definitions } };
}

function explicitErrors(names: readonly string[], explicit: ExplicitMapping): MappingError[] {
  const errors: MappingError[] = [];
  for (const column of Object.keys(explicit)) {
    const count = names.filter((name) => name === column).length;
    if (count === 0) errors.push({ code: 'UNKNOWN_COLUMN', column, message: `the file has no column "${column}"` });
    if (count > 1)
      errors.push({ code: 'AMBIGUOUS_COLUMN', column, message: `the file has ${count} columns "${column}"` });
  }
  return errors;
}

function guessTarget(header: string, definitions: readonly FieldDefinition[]): string | null {
  const plain = plainName(header);
  if (plain === '') return null;
  const field = definitions.find(({ key }) => plainName(key) === plain || plainName(`fields.${key}`) === plain);
  if (field !== undefined) return `fields.${field.key}`;
  return Object.entries(GUESSES).find(([, guesses]) => guesses.includes(plain))?.[0] ?? null;
}

function resolveTarget(
  wanted: string,
  definitions: readonly FieldDefinition[],
): { target: ImportTarget; definition: FieldDefinition | null } | null {
  switch (wanted) {
    case 'email':
    case 'first_name':
    case 'last_name':
    case 'locale':
    case 'time_zone':
    case 'tags':
      return { target: wanted, definition: null };
    default: {
      const key = wanted.startsWith('fields.') ? wanted.slice('fields.'.length) : wanted;
      const definition = definitions.find((candidate) => candidate.key === key);
      return definition === undefined ? null : { target: `fields.${key}`, definition };
    }
  }
}

function plainName(header: string): string {
  return header
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');
}
