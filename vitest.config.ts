import { defineConfig } from "vitest/config";

const conditions = ["@loden/source", "module", "node", "development|production"];
const kernel = ["packages/*/src/**/*.kernel.test.ts", "examples/*/src/**/*.kernel.test.ts"];

// unit: no OS needed. kernel: root in namespaces of its own (docs/checks/all.ts starts it there).
// repository: the checks of the repository itself.
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["packages/*/src/**/*.test.ts", "examples/*/src/**/*.test.ts"], exclude: kernel },
      },
      {
        extends: true,
        test: {
          name: "kernel",
          include: kernel,
          pool: "forks",
          fileParallelism: false,
          execArgv: ["--conditions=@loden/source"],
          testTimeout: 30_000,
        },
      },
      { extends: true, test: { name: "repository", include: ["docs/checks/**/*.test.ts"], testTimeout: 120_000 } },
    ],
  },
});
