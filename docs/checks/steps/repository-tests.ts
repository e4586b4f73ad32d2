import { runVitest } from "./run-vitest.ts";
import type { Step } from "./step.ts";

/** The rules of the repository: arrows, names, docs, links, README examples. They are the tests beside this folder. */
export const repositoryTests: Step = {
  name: "repository-tests",
  title: "Tests of the repository itself",
  run: (context) => runVitest({ project: "repository", label: "repository" }, context),
};
