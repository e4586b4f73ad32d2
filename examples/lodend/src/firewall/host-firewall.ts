import type { DesiredRules } from "./guard-firewall.ts";

/** Stands in for \@loden/firewall until it is there. */
export interface HostFirewall extends Disposable {
  apply(desired: DesiredRules): Promise<unknown>;
  list(): Promise<readonly unknown[]>;
  clear(): Promise<unknown>;
}

/** Opens the firewall's table. */
export function openFirewall(_: { readonly table: string }): HostFirewall {
  return { apply: async () => {}, list: async () => [], clear: async () => {}, [Symbol.dispose]: () => {} };
}

/** Writes rules as `nft` reads them. */
export function formatRules(desired: DesiredRules): string {
  return `# firewall: ${JSON.stringify(desired)}\n`;
}
