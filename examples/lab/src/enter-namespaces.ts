import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";

/**
 * Makes sure that the lab may create network namespaces: as root it may; otherwise the lab runs again as root of a user namespace of its own,
 * where the system allows that.
 *
 * @param backend only `udp` makes a TUN device, which not everybody may.
 * @returns `undefined` when this process may go on; else the exit code of the run in the user namespace, or 1 after saying what is missing.
 */
export async function enterNamespaces(backend: string): Promise<number | undefined> {
  const missing = backend === "udp" ? missingDevice() : undefined;
  if (missing !== undefined) return explain(missing);
  if (process.getuid?.() === 0) return undefined;
  const unshare = ["--user", "--map-root-user", "--net", "--mount", "--propagation", "private"];
  const trial = spawnSync("unshare", [...unshare, "true"], { encoding: "utf8" });
  if (trial.status !== 0) {
    const reason = trial.error === undefined ? trial.stderr.trim() : trial.error.message;
    return explain(
      `this is no root, and an unprivileged user namespace can't be made (${reason}).\n` +
        "Run it as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 " +
        "(on Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)",
    );
  }
  console.error("lab: not root, so everything runs inside a user namespace of its own");
  // Its own /run, because the names of network namespaces live there.
  const script = 'mount -t tmpfs tmpfs /run && exec "$@"';
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn("unshare", [...unshare, "sh", "-c", script, "sh", ...again], {
    stdio: "inherit",
  });
  // The terminal sends Ctrl-C to both; the child cleans up and this process waits for it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return await new Promise((resolve) => {
    child.once("error", (error) => resolve(explain(error.message)));
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

function missingDevice(): string | undefined {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT"
      ? "there is no /dev/net/tun. Load the module with: modprobe tun (in a container: --device /dev/net/tun)"
      : "/dev/net/tun can't be opened by this user. Most systems allow it to everybody: chmod 0666 /dev/net/tun, or run as root";
  }
}

function explain(reason: string): number {
  console.error(`Cannot run the lab: ${reason}`);
  return 1;
}
