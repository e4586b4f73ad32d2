import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Netns } from "@loden/netns";
import { placed } from "./processors.ts";

/** A process inside a host's namespace that answers calls. It ends with this process. */
export interface Agent {
  readonly pid: number;
  /** Calls one of its methods. Rejects with the method's error, or when the process has ended. */
  call<Result>(method: string, parameters?: unknown): Promise<Result>;
  /** Ends it, and waits until it is gone. */
  close(): Promise<void>;
}

/** Where an agent runs. */
export interface AgentPlace {
  readonly netns: Netns;
  /** Pins it to a processor. */
  readonly processor?: number | undefined;
}

/** What an agent answers. */
export type AgentAnswer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/**
 * Starts an agent.
 *
 * @param place the namespace and the processor.
 * @param module what it runs: a module that calls `serveAgent`.
 * @returns the agent; the caller closes it.
 */
export function startAgent({ netns, processor }: AgentPlace, module: string): Agent {
  const node = [process.execPath, ...process.execArgv, fileURLToPath(module)];
  const [command, ...words] = placed(node, processor);
  const child = netns.run(() =>
    spawn(command, words, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    }),
  );
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const call = createCaller(child, module);
  return {
    pid: child.pid ?? 0,
    call,
    async close() {
      if (child.connected) child.disconnect();
      const limit = setTimeout(() => child.kill("SIGKILL"), 2_000);
      await ended;
      clearTimeout(limit);
    },
  };
}

function createCaller(child: ChildProcess, module: string): Agent["call"] {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  let gone: Error | undefined;
  child.on("message", (answer: AgentAnswer) => {
    const call = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ("error" in answer) call?.reject(new Error(answer.error));
    else call?.resolve(answer.result);
  });
  const fail = (reason: string): void => {
    gone = new Error(`Cannot measure: ${module} ended (${reason})`);
    for (const call of waiting.values()) call.reject(gone);
  };
  child.once("exit", (code, signal) => fail(String(code ?? signal)));
  child.once("error", (error) => fail(error.message));
  return <Result>(method: string, parameters?: unknown): Promise<Result> => {
    if (gone !== undefined) return Promise.reject(gone);
    const id = ++last;
    const call = Promise.withResolvers<unknown>();
    waiting.set(id, call);
    child.send({ id, method, parameters });
    return call.promise as Promise<Result>;
  };
}
