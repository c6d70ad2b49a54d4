import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { z } from 'zod';
import { SEARCH_ATTRIBUTES } from '../../dev/temporal';
import { describeConfiguration, readConfiguration } from '../../platform/config';

const ROOT = join(__dirname, '..', '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const TEXT = read('docker-compose.yml');

const service = z.looseObject({
  image: z.string(),
  environment: z.record(z.string(), z.string()).default({}),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  restart: z.string().optional(),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  command: z.array(z.string()).default([]),
  profiles: z.array(z.string()).default([]),
});
const compose = z
  .looseObject({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) })
  .parse(parse(TEXT, { merge: true }));
const services = Object.entries(compose.services);
const named = (name: string) => {
  const found = compose.services[name];
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
};

const SALLY = services.filter(([, { image }]) => image.startsWith('sally:'));
const isOneShot = (name: string): boolean =>
  ['temporal-schema', 'temporal-namespace', 'migrate', 'admin'].includes(name);

describe('docker-compose.yml', () => {
  test('is valid by the compose specification', () => {
    const { $schema, ...schema } = JSON.parse(read('test/fixtures/compose/compose-spec.json'));
    const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));
    const validate = ajv.compile(schema);
    const valid = validate(parse(TEXT, { merge: true }));
    expect(validate.errors ?? []).toEqual([]);
    expect(valid).toBe(true);
    expect($schema).toContain('json-schema.org');
    // That this would find something.
    expect(validate({ services: { api: { image: 'x', helthcheck: {} } } })).toBe(false);
  });

  test('has every part of the platform, on the ports that the documentation names', () => {
    expect(Object.keys(compose.services).sort()).toEqual(
      [
        'postgres',
        'temporal-postgres',
        'temporal-schema',
        'temporal',
        'temporal-namespace',
        'temporal-ui',
        'mail',
        'migrate',
        'api',
        'worker-control',
        'worker-delivery',
        'admin',
      ].sort(),
    );
    expect(named('temporal-ui').ports).toEqual(['127.0.0.1:8080:8080']);
    expect(named('api').ports).toEqual(['127.0.0.1:3000:3000']);
    expect(named('worker-control').command).toContain('control');
    expect(named('worker-delivery').command).toContain('delivery');
  });

  test.each(services)('%s has an image of one version', (_name, { image }) => {
    expect(image).toMatch(/^(sally:\$\{SALLY_VERSION:-local\}|[a-z]+(\/[a-z-]+)?:v?\d+\.\d+(\.\d+)?)$/);
  });

  test('does not use the deprecated image that sets itself up', () => {
    expect(services.filter(([, { image }]) => image.includes('auto-setup'))).toEqual([]);
  });

  test('publishes ports on this machine only', () => {
    for (const port of services.flatMap(([, { ports }]) => ports)) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  test('has no default for any secret, and none in the file', () => {
    const secrets = services.flatMap(([, { environment }]) =>
      Object.entries(environment).filter(([name]) => /PASSWORD|PWD|SECRET|SUPPRESSION_KEY|_URL_|ADMIN_URL/.test(name)),
    );
    expect(secrets.length).toBeGreaterThan(10);
    for (const [name, value] of secrets) expect([name, value]).toEqual([name, expect.stringMatching(/\$\{[A-Z_]+:\?/)]);
    // A password in a URL is a reference, too.
    expect(TEXT.match(/:\/\/[a-z_]+:(?!\$\{[A-Z_]+:\?)[^@\s]+@/g)).toBeNull();
  });

  test.each(services.filter(([name]) => !isOneShot(name) && name !== 'temporal-ui'))(
    '%s says whether it is healthy',
    (_name, { healthcheck }) => {
      expect(healthcheck?.test[0]).toBe('CMD');
    },
  );

  test('starts in an order in which everything finds what it needs', () => {
    for (const [name, { depends_on }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        expect([name, other, condition]).toEqual([
          name,
          other,
          isOneShot(other) ? 'service_completed_successfully' : 'service_healthy',
        ]);
        if (condition === 'service_healthy') expect(named(other).healthcheck).toBeDefined();
      }
    }
    for (const name of ['api', 'worker-control', 'worker-delivery']) {
      expect(Object.keys(named(name).depends_on).sort()).toEqual(['migrate', 'temporal-namespace']);
    }
    expect(Object.keys(named('temporal').depends_on)).toEqual(['temporal-schema']);
  });

  test('keeps data in volumes that exist', () => {
    const used = services.flatMap(([, { volumes }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    expect(used.filter((volume) => !volume.startsWith('./') && !(volume in compose.volumes))).toEqual([]);
    for (const path of used.filter((volume) => volume.startsWith('./')))
      expect(statSync(join(ROOT, path))).toBeDefined();
  });

  test.each(SALLY.filter(([name]) => name !== 'migrate'))(
    '%s sets only variables that the platform knows',
    (_name, { environment }) => {
      const known = new Set(describeConfiguration().map(({ name }) => name));
      expect(Object.keys(environment).filter((name) => !known.has(name))).toEqual([]);
    },
  );

  test.each(SALLY.filter(([name]) => name !== 'migrate'))(
    '%s gets a configuration that is complete',
    (_name, { environment }) => {
      const secrets = generatedSecrets();
      const filled = Object.fromEntries(
        Object.entries(environment).map(([name, value]) => [name, interpolate(value, secrets)]),
      );
      const configuration = readConfiguration(filled);
      expect(configuration.SALLY_SECRETS).toBe(secrets.SALLY_SECRETS);
      expect(configuration.DATABASE_URL_API ?? configuration.DATABASE_URL_WORKER).toContain('@postgres:5432/sally');
    },
  );

  test('needs no secret that deploy/make-env.mjs does not make', () => {
    const needed = new Set([...TEXT.matchAll(/\$\{([A-Z_]+):\?/g)].map((match) => match[1]));
    expect([...needed].sort()).toEqual(Object.keys(generatedSecrets()).sort());
  });
});

describe('deploy/temporal', () => {
  test('sets retention and search attributes as the embedded server has them', () => {
    const script = read('deploy/temporal/setup-namespace.sh');
    expect(script.match(/--retention 7d/g)).toHaveLength(2);
    expect(/for attribute in ([^;]+);/.exec(script)?.[1]?.split(' ')).toEqual([...SEARCH_ATTRIBUTES]);
    expect(parse(read('deploy/temporal/dynamic-config.yaml'))).toEqual({
      'matching.enableFairness': [{ value: true }],
    });
  });

  test.each(readdirSync(join(ROOT, 'deploy', 'temporal')).filter((name) => name.endsWith('.sh')))(
    '%s is a shell script without mistakes of syntax',
    (name) => {
      expect(execFileSync('sh', ['-n', join(ROOT, 'deploy', 'temporal', name)], { encoding: 'utf8' })).toBe('');
    },
  );
});

describe('Dockerfile', () => {
  const lines = read('Dockerfile').split('\n');

  test('builds on glibc and runs without root', () => {
    const bases = lines.filter((line) => line.startsWith('FROM '));
    expect(bases.length).toBeGreaterThan(0);
    for (const base of bases) expect(base).toMatch(/^FROM node:20-bookworm-slim/);
    const user = lines.indexOf('USER node');
    expect(user).toBeGreaterThan(lines.lastIndexOf(bases.at(-1) ?? ''));
    expect(lines.slice(user).some((line) => line.startsWith('RUN'))).toBe(false);
  });

  test('copies only what exists', () => {
    const copied = lines.flatMap((line) => /^COPY (?!--from)(.+) \S+$/.exec(line)?.[1]?.split(' ') ?? []);
    expect(copied.length).toBeGreaterThan(0);
    for (const path of copied) expect(statSync(join(ROOT, path))).toBeDefined();
  });
});

/** What `node deploy/make-env.mjs` prints. */
function generatedSecrets(): Record<string, string> {
  const printed = execFileSync(process.execPath, [join(ROOT, 'deploy', 'make-env.mjs')], { encoding: 'utf8' });
  return Object.fromEntries(
    printed
      .trim()
      .split('\n')
      .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** Fills in `${NAME:-default}` and `${NAME:?message}` as compose does. */
function interpolate(value: string, variables: Record<string, string>): string {
  return value.replace(/\$\{([A-Z_]+):([-?])([^}]*)\}/g, (_all, name: string, kind: string, rest: string) => {
    const given = variables[name];
    if (given !== undefined) return given;
    if (kind === '?') throw new Error(`${name}: ${rest}`);
    return rest;
  });
}
