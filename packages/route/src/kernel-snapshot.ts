import { KernelError } from "@loden/linux";
import type {
  CallOptions,
  FdbEntry,
  Link,
  LinkAddress,
  ListedRoute,
  Neighbour,
  Rtnetlink,
} from "@loden/rtnetlink";
import type { StateScope } from "./state-scope.ts";

/** What the kernel holds of a namespace, as far as it is compared with what is desired. */
export interface KernelSnapshot {
  /** All links. */
  readonly links: readonly Link[];
  /** Addresses of links of ours. */
  readonly addresses?: readonly LinkAddress[] | undefined;
  /** Neighbours on links of ours. */
  readonly neighbours?: readonly Neighbour[] | undefined;
  /** Forwarding entries of VXLAN devices of ours. */
  readonly fdb?: readonly FdbEntry[] | undefined;
  /** All routes of the table, whoever added them, in the kernel's order. */
  readonly routes: readonly ListedRoute[];
}

/** Lists what {@link planState} compares. */
export async function readSnapshot(
  rtnetlink: Rtnetlink,
  { links: names, table }: StateScope,
  { signal }: CallOptions = {},
): Promise<KernelSnapshot> {
  const links = await rtnetlink.links.list({ signal });
  const own = links.filter(({ name }) => names.includes(name));
  const devices = own.filter(({ kind }) => kind === "vxlan");
  return {
    links,
    addresses: (await all(own, (link) => rtnetlink.addresses.list({ link, signal }))).flat(),
    neighbours: (await all(own, (link) => rtnetlink.neighbours.list({ link, signal }))).flat(),
    fdb: (await all(devices, (link) => rtnetlink.fdb.list({ link, signal }))).flat(),
    routes: await rtnetlink.routes.list({ table, signal }),
  };
}

/** Lists something of each link; nothing of one that has gone meanwhile, of which a notification tells. */
function all<T>(links: readonly Link[], list: (link: string) => Promise<T[]>): Promise<T[][]> {
  return Promise.all(
    links.map(({ name }) =>
      list(name).catch((error: unknown) => {
        if (error instanceof KernelError && error.code === "ENODEV") return [];
        throw error;
      }),
    ),
  );
}
