/**
 * The import rules of the house (docs/map.md). dependency-cruiser reads TypeScript through swc, which does not tell
 * it which imports are types only; dev/lint/value-imports.cjs finds that out where a rule turns on it.
 */
const { exactly, fileOf, filesIn, loadedBy } = require('./dev/lint/value-imports.cjs');

const AREAS =
  '(workspace|contacts|consent|audiences|content|campaigns|journeys|delivery|senders|tracking|events|gates)';
const TESTS = '\\.test\\.ts$';

/** A layer and all that it may import from the house. */
function layer(name, ...allowed) {
  return {
    name: `layer-${name}`,
    comment: `${name} may import ${allowed.length === 0 ? 'nothing else of the house' : allowed.join(', ')}.`,
    severity: 'error',
    from: { path: `^${name}/`, pathNot: TESTS },
    to: {
      path: '^(platform|domain|db|channels|activities|workflows|api|dev|bench|test|web|server\\.ts|worker\\.ts)',
      pathNot: [`^${name}/`, ...allowed.map((path) => `^${path}`)],
    },
  };
}

// What the workflow bundle would hold: the workflows and whatever they load at run time.
const bundle = loadedBy(filesIn('workflows'));
const bundled = [...bundle.keys()];
const loadsActivities = bundled.filter((file) =>
  bundle.get(file).some((specifier) => fileOf(file, specifier)?.startsWith('activities/')),
);
const MAY_BE_BUNDLED = /^(\.|@temporalio\/(workflow|common)(\/|$))/;
const loadsPackages = bundled.filter((file) => bundle.get(file).some((specifier) => !MAY_BE_BUNDLED.test(specifier)));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    layer('platform'),
    layer('domain', 'platform/'),
    layer('db', 'domain/', 'platform/'),
    layer('channels', 'domain/', 'platform/'),
    layer('activities', 'db/', 'channels/', 'domain/', 'platform/'),
    layer('workflows', 'activities/', 'domain/'),
    layer('api', 'db/', 'domain/', 'platform/', 'channels/[^/]+/webhook\\.ts$', 'channels/mime/'),
    {
      name: 'workflows-know-activities-by-type',
      comment: 'A workflow must be deterministic: it imports the types of activities and nothing else of them.',
      severity: 'error',
      from: { path: exactly(loadsActivities) },
      to: { path: '^activities/' },
    },
    {
      name: 'workflows-load-no-packages',
      comment: 'What a workflow loads is free of zod, node: modules, date libraries and every other package.',
      severity: 'error',
      from: { path: exactly(loadsPackages) },
      to: {
        dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-peer'],
        pathNot: '@temporalio/(workflow|common)',
      },
    },
    {
      name: 'areas-meet-at-their-index',
      comment: "Another area's functions are reached through that area's index (or the constants of its contract).",
      severity: 'error',
      // Indexes hold zod and node: modules, which a workflow must not load.
      from: { path: `^(domain|db|channels|activities|api)/${AREAS}/`, pathNot: [TESTS, exactly(bundled)] },
      to: {
        path: `^(domain|db|activities|api)/${AREAS}/`,
        pathNot: ['^(domain|db|activities|api)/$2/', '/(index|contract)\\.ts$'],
      },
    },
    {
      name: 'only-delivery-sends',
      comment: 'Connectors are made by activities/senders and used by activities/delivery; nothing else can send.',
      severity: 'error',
      from: {
        path: '^(platform|domain|db|activities|workflows|api)/|^(server|worker)\\.ts$',
        pathNot: ['^activities/(delivery|senders)/', TESTS],
      },
      to: {
        path: '^channels/(connector|(smtp|http|ses|sendgrid|mailgun|postmark)/)|^activities/senders/connector\\.ts$',
      },
    },
    {
      name: 'only-roots-wire',
      comment: 'The composition roots are started, not imported, save by tests and benches.',
      severity: 'error',
      from: { pathNot: '^(dev|test|bench)/' },
      to: { path: '^(server|worker)\\.ts$' },
    },
    {
      name: 'tests-are-not-imported',
      severity: 'error',
      from: {},
      to: { path: TESTS },
    },
    {
      name: 'product-needs-no-development-packages',
      severity: 'error',
      from: {
        path: '^((platform|domain|db|channels|activities|workflows|api)/|server\\.ts|worker\\.ts)',
        pathNot: TESTS,
      },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: '/@types/' },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|\\.sally|node_modules|docs)/' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.cjs', '.mjs', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['node', 'require', 'import', 'types', 'default'],
    },
  },
};
