/** What each backend type can be told in the `Backend` object, with the defaults filled in. */
export interface BackendOptionsByType {
  /** Plain UDP. */
  readonly udp: {
    /** Outer UDP port, 8285 by default; the same on every host. */
    readonly port: number;
  };
  /** VXLAN devices of the kernel. */
  readonly vxlan: {
    /** VXLAN network identifier, 1 by default. */
    readonly vni: number;
    /** Outer UDP port; 0, the default, leaves it to the kernel, which takes 8472. */
    readonly port: number;
    /** MTU of the network below in bytes; 0, the default, takes that of the outer interface. */
    readonly mtu: number;
    /** Whether group-based policy bits are carried. */
    readonly gbp: boolean;
    /** Whether the device learns addresses from packets. */
    readonly learning: boolean;
    /** Whether hosts on one link are reached by plain routes. */
    readonly directRouting: boolean;
  };
  /** Plain routes between hosts on one link; there is nothing to tell. */
  readonly "host-gw": Readonly<Record<string, never>>;
  /** IP-in-IP tunnels. */
  readonly ipip: {
    /** Whether hosts on one link are reached by plain routes. */
    readonly directRouting: boolean;
  };
  /** WireGuard devices of the kernel. */
  readonly wireguard: {
    /** Outer UDP port for IPv4, 51820 by default. */
    readonly listenPort: number;
    /** Outer UDP port for IPv6, 51821 by default. */
    readonly listenPortV6: number;
    /** MTU of the network below in bytes; 0, the default, takes that of the outer interface. */
    readonly mtu: number;
    /** Pre-shared key: 32 bytes in base64, or empty for none. A secret. */
    readonly psk: string;
    /** Seconds between keepalives; 0, the default, sends none. */
    readonly persistentKeepaliveInterval: number;
    /** Which tunnels there are. */
    readonly mode: "separate" | "auto" | "ipv4" | "ipv6";
  };
  /** IPsec through strongSwan. */
  readonly ipsec: {
    /** Whether ESP goes inside UDP. */
    readonly udpEncap: boolean;
    /** The algorithms, in strongSwan's words. */
    readonly espProposal: string;
    /** Pre-shared key, at least 96 characters; required. A secret. */
    readonly psk: string;
  };
  /** Commands that do the work; an empty one is not run. */
  readonly extension: {
    /** Run once before the network starts. */
    readonly preStartupCommand: string;
    /** Run once after it has started. */
    readonly postStartupCommand: string;
    /** Run for each host that joins. */
    readonly subnetAddCommand: string;
    /** Run for each host that leaves. */
    readonly subnetRemoveCommand: string;
  };
  /** Subnets only, no packets; there is nothing to tell. */
  readonly alloc: Readonly<Record<string, never>>;
  /** Routes of Tencent's cloud. */
  readonly "tencent-vpc": {
    /** Identifier of the access key; empty takes it from the environment. */
    readonly accessKeyId: string;
    /** The access key itself; empty takes it from the environment. A secret. */
    readonly accessKeySecret: string;
  };
}

/** The backend types that flannel registers. Other people's backends may have other names. */
export type BackendType = keyof BackendOptionsByType;
