import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationTable } from '../../dev/configuration-table';
import { ConfigurationError, describeConfiguration, readConfiguration } from '../../platform/config';

const DOCUMENT = readFileSync(join(__dirname, '..', '..', 'docs', 'configuration.md'), 'utf8');
const NEEDED = { SALLY_SECRETS: 'k1:x', SALLY_SUPPRESSION_KEY: 'x' };

describe('docs/configuration.md', () => {
  test('has the table of all variables as they are in platform/config.ts (dev/tables-main.ts writes it)', () => {
    expect(DOCUMENT).toContain(configurationTable());
  });

  test('has a meaning for every variable', () => {
    expect(describeConfiguration().filter(({ description }) => description === '')).toEqual([]);
  });
});

describe('the environment', () => {
  test('needs the two keys and nothing else', () => {
    expect(readConfiguration(NEEDED)).toMatchObject({ ...NEEDED, PORT: 3000, ALLOW_PRIVATE_SMTP: false });
    for (const name of Object.keys(NEEDED)) {
      expect(() => readConfiguration({ ...NEEDED, [name]: undefined })).toThrow(name);
    }
  });

  test('takes an empty variable as one that is not set', () => {
    expect(readConfiguration({ ...NEEDED, CAMPAIGN_SEND_RATE_PER_MINUTE: '', PORT: '' })).toMatchObject({ PORT: 3000 });
  });

  test('is refused as a whole, with every variable that is wrong and no value', () => {
    const wrong = { ...NEEDED, PORT: '123456', EMAIL_FROM: 'secret-value', ALLOW_PRIVATE_SMTP: 'perhaps' };
    let message = '';
    try {
      readConfiguration(wrong);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      message = String(error);
    }
    for (const name of ['PORT', 'EMAIL_FROM', 'ALLOW_PRIVATE_SMTP', 'docs/configuration.md']) {
      expect(message).toContain(name);
    }
    expect(message).not.toContain('secret-value');
  });
});
