// Runs a command in the fresh namespaces that `unshare` just made: node in-namespace.ts COMMAND ARGUMENTS...
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { openRtnetlink } from "@loden/rtnetlink";

mountNamesOfNamespaces();
await bringUpLoopback();
const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new TypeError("Cannot run in a namespace: no command is given");
const child = spawn(command, args, { stdio: "inherit" });
child.on("error", (error) => {
  throw error;
});
child.on("close", (code) => process.exit(code ?? 1));
// The group gets every signal; this process waits for its child's answer.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => undefined);

// Names of network namespaces live in /run/netns; a tmpfs keeps ours from the machine. Where the folder is missing, a tmpfs on /run makes room.
function mountNamesOfNamespaces(): void {
  const folder = "/run/netns";
  const mountPoint = existsSync(folder) ? folder : "/run";
  const mounted = spawnSync("mount", ["-t", "tmpfs", "tmpfs", mountPoint], { stdio: "inherit" });
  if (mounted.status !== 0)
    throw new Error(`Cannot mount a tmpfs on ${mountPoint}: mount ended with ${mounted.status}`);
  mkdirSync(folder, { recursive: true });
}

async function bringUpLoopback(): Promise<void> {
  using rtnetlink = openRtnetlink();
  await rtnetlink.links.set("lo", { up: true });
}
