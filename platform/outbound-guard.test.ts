import type dns from 'node:dns';
import { ForbiddenTargetError, guardedLookup, isPublicAddress } from './outbound-guard';

describe('isPublicAddress', () => {
  test.each([
    '127.0.0.1',
    '127.255.255.254',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::',
    'fd00::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    'not an address',
    '',
  ])('refuses %s', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test.each(['1.1.1.1', '172.32.0.1', '192.167.255.255', '223.255.255.254', '2606:4700:4700::1111', '::ffff:8.8.8.8'])(
    'accepts %s',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );
});

describe('guardedLookup', () => {
  function resolver(addresses: dns.LookupAddress[]): typeof dns.lookup {
    const resolve = (_name: string, _options: unknown, callback: (error: null, found: dns.LookupAddress[]) => void) =>
      callback(null, addresses);
    return resolve as unknown as typeof dns.lookup;
  }

  function look(addresses: dns.LookupAddress[], all: boolean): Promise<{ error: unknown; found: unknown }> {
    return new Promise((done) => {
      guardedLookup(resolver(addresses))('relay.test', { all }, (error, found) => done({ error, found }));
    });
  }

  const inside = { address: '10.0.0.5', family: 4 };
  const outside = { address: '198.20.0.5', family: 4 };

  test('gives out what is public', async () => {
    expect(await look([inside, outside], true)).toEqual({ error: null, found: [outside] });
    expect(await look([inside, outside], false)).toEqual({ error: null, found: outside.address });
  });

  test('fails when nothing public is left', async () => {
    expect((await look([inside], true)).error).toBeInstanceOf(ForbiddenTargetError);
    expect((await look([], false)).error).toBeInstanceOf(ForbiddenTargetError);
  });
});
