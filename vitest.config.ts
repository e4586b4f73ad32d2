import { defineConfig } from "vitest/config";

const conditions = ["@loden/source", "module", "node", "development|production"];
const kernel = ["packages/*/src/**/*.kernel.test.ts", "examples/*/src/**/*.kernel.test.ts"];
const integration = ["packages/*/src/**/*.integration.test.ts", "examples/*/src/**/*.integration.test.ts"];

// What is waited for comes at once on an idle machine, and later on a busy one: that is no failure.
const patient = { poll: { timeout: 20_000 } };

// unit: no OS needed. kernel: root in namespaces of its own (docs/checks/all.ts starts it there).
// integration: real servers on the loopback, started by the tests.
// repository: the checks of the repository itself.
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "examples/*/src/**/*.test.ts"],
          exclude: [...kernel, ...integration],
        },
      },
      {
        extends: true,
        test: {
          name: "kernel",
          include: kernel,
          pool: "forks",
          fileParallelism: false,
          execArgv: ["--conditions=@loden/source"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: patient,
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: integration,
          pool: "forks",
          fileParallelism: false,
          execArgv: ["--conditions=@loden/source"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxConcurrency: 10,
          expect: patient,
        },
      },
      {
        extends: true,
        test: { name: "repository", include: ["docs/checks/**/*.test.ts"], testTimeout: 120_000 },
      },
    ],
  },
});
