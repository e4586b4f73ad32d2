import { canOpenTun, isRoot, tunPath } from "./environment.ts";
import { runCommand } from "./run-command.ts";

/** Either the words to put before a command so that it runs in namespaces of its own, or the reason why that cannot be had. */
export type NamespaceEntry =
  | { readonly prefix: readonly [string, ...string[]] }
  | { readonly reason: string };

/**
 * Finds how this machine gives us network and mount namespaces: as root directly, as an ordinary user through a user namespace. The prefix
 * leads through `in-namespace.ts`, which brings `lo` up and puts a tmpfs on /run/netns, so that nothing reaches the machine.
 *
 * @param signal ends the look.
 * @param options with `root` a user namespace is no way: some of the kernel is for root of the machine alone.
 */
export async function namespaceEntry(
  signal: AbortSignal,
  { root = false }: { readonly root?: boolean } = {},
): Promise<NamespaceEntry> {
  const prepare = [process.execPath, "--conditions=@loden/source", "docs/checks/steps/in-namespace.ts"];
  const flags = ["--net", "--mount", "--propagation", "private"];
  if (isRoot) return { prefix: ["unshare", ...flags, ...prepare] };

  if (root) return { reason: "not root, and root of a user namespace is not enough" };
  const unprivileged = ["unshare", "--user", "--map-root-user", ...flags] as const;
  const trial = await runCommand([...unprivileged, "true"], { signal, show: "never" });
  if (!trial.ok) {
    return {
      reason: `not root, and this system allows no user namespaces (${trial.stderr.trim() || trial.reason})`,
    };
  }
  if (!canOpenTun()) return { reason: `not root, and ${tunPath} cannot be opened by this user` };
  return { prefix: [...unprivileged, ...prepare] };
}
