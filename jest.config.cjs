/** One configuration for unit tests (beside their file) and for tests against the real stack (test/). */
module.exports = {
  testEnvironment: 'node',
  transform: { '^.+\\.(t|j|mj)s$': ['@swc/jest'] },
  transformIgnorePatterns: [
    '/node_modules/(?!(htmlparser2|html-to-text|entities|dom-serializer|domutils|domhandler|domelementtype|deepmerge|selderee|parseley|leac|peberminta|@selderee|isbot)/)',
  ],
  testMatch: ['**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.sally/'],
  // Starts nothing by itself: Postgres and Temporal come up when the first suite asks for them.
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Real servers start in some tests, and two suites share a machine that may be slow: nothing waits that long where
  // all is well.
  testTimeout: 180_000,
  maxWorkers: 2,
};
