import type { AgentAnswer } from "./start-agent.ts";

/** The methods of an agent, by name. */
export type AgentMethods = Readonly<Record<string, (parameters: never) => unknown>>;

/** Answers the calls of the process that started this one, and ends with it. */
export function serveAgent(methods: AgentMethods): void {
  // At once: what it holds goes with it, and a worker in the middle of a system call must not be waited for.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.on("message", (request: { id: number; method: string; parameters: never }) => {
    void answer(methods, request).then((reply) => process.send?.(reply));
  });
}

async function answer(
  methods: AgentMethods,
  { id, method, parameters }: { id: number; method: string; parameters: never },
): Promise<AgentAnswer> {
  try {
    return { id, result: await methods[method]?.(parameters) };
  } catch (error) {
    return { id, error: `${method}: ${error instanceof Error ? error.message : String(error)}` };
  }
}
