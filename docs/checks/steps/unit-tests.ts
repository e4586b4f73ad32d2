import { runVitest } from "./run-vitest.ts";
import type { Step } from "./step.ts";

/** Every test that needs no operating system, on the Node that development uses. */
export const unitTests: Step = {
  name: "unit-tests",
  title: `Unit tests on Node ${process.versions.node}`,
  run: (context) => runVitest({ project: "unit", label: "unit" }, context),
};
