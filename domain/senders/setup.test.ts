import { PROVIDER_TYPES } from './sender';
import { changeSetup, readSetup, targetOf } from './setup';

const LEAST = {
  SMTP: { settings: { host: 'relay.example' }, credentials: {} },
  SES: { settings: { region: 'eu-central-1' }, credentials: { access_key_id: 'a', secret_access_key: 'b' } },
  SENDGRID: { settings: {}, credentials: { api_key: 'a' } },
  MAILGUN: { settings: { domain: 'mg.acme.example' }, credentials: { api_key: 'a' } },
  POSTMARK: { settings: {}, credentials: { server_token: 'a' } },
};
const NOTHING = { settings: null, credentials: null };

describe.each(PROVIDER_TYPES)('a provider of type %s', (type) => {
  const made = changeSetup(type, NOTHING, LEAST[type]);

  test('is complete with the least that is needed, and reads back as it was made', () => {
    if (!made.ok) throw new Error(JSON.stringify(made.problems));
    const { settings, credentials } = made.setup;
    expect(made.setup).toMatchObject({ providerType: type, settings: { connections: 10, window: null } });
    expect(readSetup(type, settings, credentials)).toEqual(made.setup);
  });

  test('is not read with the credentials of another type', () => {
    if (!made.ok) throw new Error(JSON.stringify(made.problems));
    expect(readSetup(type, made.setup.settings, { token: 'x' })).toBeNull();
    expect(readSetup(type, {}, made.setup.credentials)).toBeNull();
  });

  test('keeps what a change leaves out, and refuses what it does not know', () => {
    if (!made.ok) throw new Error(JSON.stringify(made.problems));
    const changed = changeSetup(type, made.setup, { settings: { window: 7 } });
    expect(changed).toEqual({ ok: true, setup: { ...made.setup, settings: { ...made.setup.settings, window: 7 } } });
    expect(changeSetup(type, made.setup, { settings: { surprise: 1 }, credentials: { surprise: 1 } })).toEqual({
      ok: false,
      problems: [
        { field: 'settings', detail: 'Unknown field: surprise' },
        { field: 'credentials', detail: 'Unknown field: surprise' },
      ],
    });
  });
});

test('credentials that cannot be read are replaced as a whole or not at all', () => {
  const made = changeSetup('SES', NOTHING, LEAST.SES);
  if (!made.ok) throw new Error('not made');
  const before = { settings: made.setup.settings, credentials: null };
  expect(changeSetup('SES', before, { credentials: { access_key_id: 'c' } })).toMatchObject({
    ok: false,
    problems: [{ field: 'credentials/secret_access_key' }],
  });
  expect(changeSetup('SES', before, { credentials: LEAST.SES.credentials }).ok).toBe(true);
});

test.each([
  ['SMTP', { host: '10.0.0.1' }, { field: 'settings/host', host: '10.0.0.1', encrypted: true }],
  ['SES', {}, null],
  ['SES', { endpoint: 'http://[::1]:4579' }, { field: 'settings/endpoint', host: '::1', encrypted: false }],
  ['POSTMARK', {}, { field: 'settings/endpoint', host: 'api.postmarkapp.com', encrypted: true }],
] as const)('the target of %s with %j', (type, settings, target) => {
  const made = changeSetup(type, NOTHING, { ...LEAST[type], settings: { ...LEAST[type].settings, ...settings } });
  if (!made.ok) throw new Error(JSON.stringify(made.problems));
  expect(targetOf(made.setup)).toEqual(target);
});
