import { chmod, mkdir, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { root } from "../repository/root.ts";
import { checkLabReport } from "./check-lab-report.ts";
import { findCommand, isRoot } from "./environment.ts";
import { namespaceEntry } from "./namespace.ts";
import { runCommand } from "./run-command.ts";
import { oneCheck, type Step, type StepContext, type StepResult } from "./step.ts";

const hosts = 3;

/** The lab as a user without rights, on a system without ip, tc and iperf3: it has to find its own way into a user namespace. */
export const labUnprivileged: Step = {
  name: "lab-unprivileged",
  title: "The lab as an unprivileged user, without ip, tc and iperf3",
  run: (context) => (isRoot ? runAsNobody(context) : runAsThisUser(context)),
};

// All of PATH, with node: parts of every Debian; no ip, tc or iperf3.
const toolNames = ["sh", "true", "mount", "unshare", "setpriv"];

// Runs as root in a mount namespace of its own ($1 = an empty folder, $2 = the repository, the rest = the command):
// everything that nobody (65534) needs lies under a tmpfs in $1, and /dev/net/tun becomes what udev makes of it on stock machines (0666).
const dropPrivileges = (): string => `
set -eu
scratch=$1 repository=$2
shift 2
mount -t tmpfs -o mode=0755 tmpfs "$scratch"
mkdir "$scratch/repository" "$scratch/home" "$scratch/bin"
chown 65534:65534 "$scratch/home"
mount --bind "$repository" "$scratch/repository"
ln -s ${tools().join(" ")} "$scratch/bin"
ln -s "$scratch/repository/node_modules/.bin/node" "$scratch/bin/node"
mknod -m 0666 "$scratch/tun" c 10 200
mount --bind "$scratch/tun" /dev/net/tun
cd "$scratch/repository"
exec env -i HOME="$scratch/home" PATH="$scratch/bin" setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
`;

const labCommand = [
  "node",
  "--conditions=@loden/source",
  "examples/lab/src/main.ts",
  "--once",
  "--json",
  "--hosts",
  String(hosts),
];

async function runAsNobody(context: StepContext): Promise<StepResult> {
  const unshare = ["unshare", "--mount", "--propagation", "private"] as const;
  const scratch = join(context.scratch, "nobody");
  await mkdir(scratch);
  // nobody has to pass through to the tmpfs
  await chmod(context.scratch, 0o711);
  const command = [...unshare, "sh", "-c", dropPrivileges(), "sh", scratch, root, ...labCommand] as const;
  return judge(await runCommand(command, { signal: context.signal }));
}

async function runAsThisUser(context: StepContext): Promise<StepResult> {
  const entry = await namespaceEntry(context.signal);
  if ("reason" in entry) return { passed: 0, failed: 0, skipped: [`the lab: ${entry.reason}`] };
  const bin = join(context.scratch, "bin");
  const home = join(context.scratch, "home");
  await Promise.all([mkdir(bin), mkdir(home)]);
  await Promise.all(tools().map((tool) => symlink(tool, join(bin, basename(tool)))));
  await symlink(process.execPath, join(bin, "node"));
  const command = ["env", "-i", `HOME=${home}`, `PATH=${bin}`, ...labCommand] as const;
  return judge(await runCommand(command, { signal: context.signal }));
}

function tools(): readonly string[] {
  return toolNames.map((name) => {
    const path = findCommand(name);
    if (path === undefined) throw new Error(`Cannot try the lab: there is no ${name}, expected it on PATH`);
    return path;
  });
}

function judge(outcome: { readonly ok: boolean; readonly stdout: string }): StepResult {
  return oneCheck(outcome.ok && checkLabReport(outcome.stdout, hosts));
}
