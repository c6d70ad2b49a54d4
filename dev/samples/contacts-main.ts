import { writeContacts } from './contacts';

const [rows = '1000', seed = '7'] = process.argv.slice(2);
if (!/^\d+$/.test(rows) || !/^\d+$/.test(seed)) {
  console.error('usage: npx tsx dev/samples/contacts-main.ts ROWS [SEED] > contacts.csv');
  process.exit(2);
}
void writeContacts(process.stdout, Number(rows), Number(seed));
