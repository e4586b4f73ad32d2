import type { Side } from "./addresses.ts";
import type { RelayAccount } from "./relay-agent.ts";
import type { TopologyName } from "./topology.ts";

/** What Loden's kernel path does where the kernel can. */
const expected = {
  veth: { on: true, decapsulates: "all", encapsulatesFor: "able" },
  wire: { on: true, decapsulates: "acks", encapsulatesFor: "all" },
} as const;

/**
 * Checks that the kernel path of both hosts is in the state that belongs to a topology: what is measured would be something else otherwise.
 *
 * @param topology which.
 * @param accounts of the relays.
 * @returns the state in words, with how much of what was sent the kernel passed on by itself; or, where a host's kernel passes nothing on, why.
 * @throws {Error} for any other state.
 */
export function checkKernelPath(
  topology: TopologyName,
  accounts: Readonly<Record<Side, RelayAccount>>,
): string {
  const parts = (["left", "right"] as const).map((side) => {
    const { kernelPath, sent, pumped } = accounts[side];
    if (!kernelPath.on) return `${side} off, since ${kernelPath.reason}`;
    const wanted = expected[topology];
    if (
      kernelPath.decapsulates !== wanted.decapsulates ||
      kernelPath.encapsulatesFor !== wanted.encapsulatesFor
    )
      throw new Error(
        `Cannot measure loden over ${topology}: the kernel path of the ${side} host is ${JSON.stringify(kernelPath)}, expected ${JSON.stringify(wanted)}`,
      );
    const share =
      sent === 0 ? "" : `, ${(Math.max(0, 1 - pumped / sent) * 100).toFixed(1)} % of what it sent`;
    return `${side} takes off ${kernelPath.decapsulates}, encapsulates for ${kernelPath.encapsulatesFor}${share}`;
  });
  return `Kernel path of loden over ${topology}: ${parts.join("; ")}`;
}
