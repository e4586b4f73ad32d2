import { runVitest } from "./run-vitest.ts";
import type { Step } from "./step.ts";

/** Tests against real servers, which the tests start on free ports of the loopback and end. */
export const integrationTests: Step = {
  name: "integration-tests",
  title: "Integration tests with real servers",
  run: (context) => runVitest({ project: "integration", label: "integration" }, context),
};
