import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { findCommand, isRoot } from "./environment.ts";
import { runCommand } from "./run-command.ts";
import { oneCheck, type Step, type StepContext, type StepResult } from "./step.ts";

interface SystemPackage {
  /** Debian's name. */
  readonly package: string;
  /** A command that the package brings. */
  readonly command: string;
  /** What the tests do with it. */
  readonly for: string;
}

// What the tests want from the system. The packages and the lab themselves need none of it.
const wanted: readonly SystemPackage[] = [
  { package: "util-linux", command: "unshare", for: "namespaces of their own for kernel tests" },
  { package: "util-linux", command: "nsenter", for: "real servers inside namespaces of tests" },
  { package: "util-linux", command: "setpriv", for: "the lab as an unprivileged user" },
  { package: "mount", command: "mount", for: "mounts inside those namespaces" },
  { package: "util-linux", command: "taskset", for: "benchmarks that pin what they measure" },
  { package: "util-linux", command: "chrt", for: "a wire in a benchmark that does not wait for its sender" },
  { package: "iproute2", command: "ip", for: "an independent view of links, addresses and routes" },
  { package: "ethtool", command: "ethtool", for: "interfaces with fewer offloads" },
  { package: "nftables", command: "nft", for: "an independent view of the firewall's rules" },
  { package: "iptables", command: "iptables-nft", for: "rules of others among which the firewall's stand" },
  { package: "socat", command: "socat", for: "an independent peer that speaks flannel's UDP bytes" },
  { package: "tshark", command: "tshark", for: "an independent reader of what is on the wire" },
  { package: "etcd-server", command: "etcd", for: "a real etcd under the lease store" },
  { package: "etcd-client", command: "etcdctl", for: "an independent client of that etcd" },
  { package: "openssl", command: "openssl", for: "certificates of that etcd" },
];

/** Finds the system packages that the tests want; on Debian as root it installs those that are missing. */
export const systemPackages: Step = {
  name: "system-packages",
  title: "What the tests want from the system",
  run: provide,
};

async function provide(context: StepContext): Promise<StepResult> {
  const missing = wanted.filter(({ command }) => findCommand(command) === undefined);
  if (missing.length === 0) return oneCheck(true);
  for (const { package: name, command, for: what } of missing) {
    console.log(`missing: ${command} from the package ${name}, for ${what}`);
  }
  const names = [...new Set(missing.map((entry) => entry.package))];
  if (!isRoot || !isDebian()) {
    const command = `${isRoot ? "" : "sudo "}apt-get install -y ${names.join(" ")}`;
    return { passed: 0, failed: 0, skipped: [`tests that need ${names.join(", ")}; on Debian: ${command}`] };
  }
  console.log(`installing with apt-get: ${names.join(" ")}`);
  const options = { signal: context.signal, env: { DEBIAN_FRONTEND: "noninteractive" } };
  await runCommand(["apt-get", "update", "-q"], options);
  const installed = await withoutStartingServices(() =>
    runCommand(["apt-get", "install", "-y", "-q", "--no-install-recommends", ...names], options),
  );
  return oneCheck(installed.ok && wanted.every(({ command }) => findCommand(command) !== undefined));
}

// A package that brings a service starts it at once, unless this program of Debian's says no. The tests start their own.
async function withoutStartingServices<Result>(run: () => Promise<Result>): Promise<Result> {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return run();
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await run();
  } finally {
    rmSync(policy);
  }
}

function isDebian(): boolean {
  try {
    return /^ID(_LIKE)?=.*\bdebian\b/m.test(readFileSync("/etc/os-release", "utf8"));
  } catch {
    return false;
  }
}
