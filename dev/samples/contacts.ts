import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { seededRandom } from './random';

/**
 * Writes a contact CSV with the dirt of real exports. About 1 row in 50 is dirty: duplicate addresses in other letter
 * case, missing or malformed addresses, stray spaces, quoted commas and line breaks, bad dates and numbers; and every
 * sixth has a time zone that does not exist. The same seed gives the same file.
 *
 *   npx tsx dev/samples/contacts-main.ts ROWS [SEED] > contacts.csv
 */
export async function writeContacts(stream: Writable, rows: number, seed = 7): Promise<void> {
  let chunk = '';
  for (const row of contactRows(rows, seed)) {
    chunk += `${row.map(cell).join(',')}\r\n`;
    if (chunk.length < CHUNK_LENGTH) continue;
    if (!stream.write(chunk)) await once(stream, 'drain');
    chunk = '';
  }
  if (chunk !== '' && !stream.write(chunk)) await once(stream, 'drain');
}

const CHUNK_LENGTH = 64 * 1024;

export const CONTACT_HEADERS = [
  'Email',
  'First name',
  'Last name',
  'Plan',
  'Seats',
  'Signed up',
  'Time zone',
  'Newsletter',
];

/** The custom fields that the columns above are made for; keys are guessed from the headers. */
export const CONTACT_FIELDS = [
  { key: 'plan', label: 'Plan', type: 'enum', required: false, options: ['free', 'pro', 'enterprise'] },
  { key: 'seats', label: 'Seats', type: 'number', required: false },
  { key: 'signed_up', label: 'Signed up', type: 'date', required: false },
  { key: 'newsletter', label: 'Newsletter', type: 'boolean', required: false },
] as const;

const FIRST_NAMES = [
  ...[
    'Ada',
    'Grace',
    'Linus',
    'Zoë',
    'José',
    'Søren',
    'Mary Jane',
    "O'Neil",
    '李',
    'Дарья',
    'Ngọc',
    'Fatima',
    'مريم',
    '',
  ],
];
const LAST_NAMES = [
  ...[
    'Lovelace',
    'Hopper',
    'Núñez',
    'van der Berg',
    'Smith, Jr.',
    'Ołówek',
    'Yılmaz',
    'Kim',
    "D'Angelo",
    'Иванова',
    '',
  ],
];
/** Domains, each as often as its weight. */
const DOMAINS = Object.entries({
  'gmail.com': 40,
  'outlook.com': 15,
  'yahoo.com': 10,
  'icloud.com': 5,
  'gmx.de': 4,
  'example.org': 10,
  'bücher.example': 1,
  'corp.example.net': 15,
}).flatMap(([domain, weight]) => Array.from({ length: weight }, () => domain));
const PLANS = ['free', 'pro', 'enterprise', ''];
const TIME_ZONES = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', '', 'Mars/Olympus'];
const ANSWERS = ['yes', 'no', 'true', '1', ''];

/** The header and then `rows` rows, as cells. */
export function* contactRows(rows: number, seed = 7): Generator<string[]> {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const choose = (values: readonly string[]): string => values[below(values.length)] ?? '';
  const twoDigits = (value: number): string => String(value).padStart(2, '0');
  yield CONTACT_HEADERS;
  for (let index = 0; index < rows; index += 1) {
    const dirt = random();
    const email = dirtyAddress(`user${index}@${choose(DOMAINS)}`, dirt, index, below);
    const seats = choose(['1', '2', '5', '10', '250', '', dirt < 0.02 ? 'many' : '3']);
    const signedUp =
      dirt > 0.004 ? `${2015 + below(12)}-${twoDigits(1 + below(12))}-${twoDigits(1 + below(28))}` : '31/31/2020';
    const lastName = choose(LAST_NAMES) + (dirt < 0.003 ? '\nBranch office' : '');
    yield [email, choose(FIRST_NAMES), lastName, choose(PLANS), seats, signedUp, choose(TIME_ZONES), choose(ANSWERS)];
  }
}

function dirtyAddress(address: string, dirt: number, index: number, below: (limit: number) => number): string {
  if (dirt < 0.004) return '';
  if (dirt < 0.008) return address.replace('@', ' at ');
  if (dirt < 0.012) return `  ${address.toUpperCase()} `;
  if (dirt < 0.016 && index > 0) return `USER${below(index)}@gmail.com`;
  if (dirt < 0.018) return `Ada <${address}>`;
  return address;
}

function cell(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
