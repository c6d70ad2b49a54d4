import { groupOfExchangers } from './exchangers';

test.each([
  [
    'hosted at Google',
    [
      { exchange: 'ASPMX.L.GOOGLE.COM.', priority: 1 },
      { exchange: 'mx.example', priority: 5 },
    ],
    'gmail',
  ],
  ['hosted at Microsoft', [{ exchange: 'corp-example.mail.protection.outlook.com', priority: 0 }], 'outlook'],
  [
    'with a filter before Google',
    [
      { exchange: 'aspmx.l.google.com', priority: 20 },
      { exchange: 'mx.filter.example', priority: 10 },
    ],
    'other',
  ],
  ['with a name that only looks like it', [{ exchange: 'mx.notgoogle.com', priority: 1 }], 'other'],
  ['that takes no mail (RFC 7505)', [{ exchange: '', priority: 0 }], 'other'],
  ['without any record', [], 'other'],
])('a domain %s', (_, records, group) => {
  expect(groupOfExchangers(records)).toBe(group);
});
