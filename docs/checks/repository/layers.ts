/** Where a package stands; arrows point from examples down to values. */
export type Layer = "values" | "contracts" | "kernel" | "adapters" | "examples";

// Within a layer a package may import those that stand before it in the same list.
const values = ["ip", "packet", "encap", "netlink"];
const contracts = ["subnet", "lease", "backend"];
const kernel = ["linux", "netns", "netlink-socket", "tun", "udp", "rtnetlink", "bpf", "route", "firewall"];

// The two columns in the middle, contracts and the kernel edge, don't know each other.
const below: Readonly<Record<Layer, readonly Layer[]>> = {
  values: [],
  contracts: ["values"],
  kernel: ["values"],
  adapters: ["values", "contracts", "kernel"],
  examples: ["values", "contracts", "kernel", "adapters"],
};

/** The layer of a package by its folder name; `x-y` is an adapter when `x` is a contract. Undefined for a name that has no place yet. */
export function layerOf(short: string): Layer | undefined {
  if (values.includes(short)) return "values";
  if (contracts.includes(short)) return "contracts";
  if (kernel.includes(short)) return "kernel";
  const [contract, technology] = short.split(/-(.*)/);
  return technology && contract && contracts.includes(contract) ? "adapters" : undefined;
}

/** Whether an arrow from one package to another points down. */
export function pointsDown(from: string, to: string): boolean {
  const [source, target] = [layerOf(from), layerOf(to)];
  if (source === undefined || target === undefined) return false;
  if (source !== target) return below[source].includes(target);
  if (source === "adapters") return false;
  const order = [values, contracts, kernel].find((list) => list.includes(from)) ?? [];
  return order.indexOf(to) < order.indexOf(from);
}
