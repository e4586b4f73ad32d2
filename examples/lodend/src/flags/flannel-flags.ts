import type { Flag } from "./flag.ts";

/** The flags of flanneld, all of them, and what becomes of each here. */
export const flannelFlags: readonly Flag[] = [
  accepted(
    "etcd-endpoints",
    "text",
    "http://127.0.0.1:4001,http://127.0.0.1:2379",
    "etcd members, separated by commas",
  ),
  accepted("etcd-prefix", "text", "/coreos.com/network", "where etcd keeps the network"),
  accepted("etcd-keyfile", "text", "", "key of the client's certificate, PEM"),
  accepted("etcd-certfile", "text", "", "certificate of the client, PEM"),
  accepted(
    "etcd-cafile",
    "text",
    "",
    "authorities that etcd's certificate is checked against, PEM; works alone too",
  ),
  accepted("etcd-username", "text", "", "user of etcd"),
  { ...accepted("etcd-password", "text", "", "its password; never logged"), isSecret: true },
  accepted("iface", "texts", [], "interface name or address between hosts; the first that is there wins"),
  accepted(
    "iface-regex",
    "texts",
    [],
    "pattern for an address or a name of an interface, tried after `--iface`",
  ),
  accepted(
    "iface-can-reach",
    "text",
    "",
    "the interface that leads to this address, tried after the patterns",
  ),
  accepted("subnet-file", "text", "/run/flannel/subnet.env", "where the subnet is written for containers"),
  accepted(
    "public-ip",
    "text",
    "",
    "address that peers send to; without a flag for the interface, also chooses it",
  ),
  accepted(
    "public-ipv6",
    "text",
    "",
    "IPv6 address that peers send to; without a flag for the interface or `--public-ip`, also chooses it",
  ),
  {
    ...accepted(
      "subnet-lease-renew-margin",
      "integer",
      60,
      "minutes before expiry at which the lease is renewed",
    ),
    range: [1, 1439],
  },
  accepted("ip-masq", "boolean", false, "masquerade what leaves the overlay"),
  accepted("ip-masq-fully-random-disable", "boolean", false, "masquerade without random ports"),
  refused("kube-subnet-mgr", "boolean", false, "there is no Kubernetes store yet: use etcd"),
  ignored("kube-api-url", "text", "", "only `--kube-subnet-mgr` would read it"),
  ignored("kubeconfig-file", "text", "", "only `--kube-subnet-mgr` would read it"),
  ignored(
    "kube-annotation-prefix",
    "text",
    "flannel.alpha.coreos.com",
    "only `--kube-subnet-mgr` would read it",
  ),
  accepted("version", "boolean", false, "print the version and end"),
  accepted("healthz-ip", "text", "0.0.0.0", "address of the HTTP server"),
  {
    ...accepted(
      "healthz-port",
      "integer",
      0,
      "port of the HTTP server with `/healthz`, `/readyz` and `/metrics`; 0: none",
    ),
    range: [0, 65_535],
  },
  {
    ...accepted(
      "iptables-resync",
      "integer",
      5,
      "seconds between looks at the firewall rules, besides those at once when others change them",
    ),
    range: [1, 86_400],
  },
  accepted("iptables-forward-rules", "boolean", true, "let the firewall forward the overlay's packets"),
  accepted(
    "ip-blackhole-route",
    "boolean",
    false,
    "drop packets to containers that this host does not have, instead of sending them on",
  ),
  accepted(
    "net-config-path",
    "text",
    "/etc/kube-flannel/net-conf.json",
    "file with the network's configuration; read with `--store memory`",
  ),
  ignored("set-node-network-unavailable", "boolean", true, "only `--kube-subnet-mgr` would read it"),
  {
    ...accepted("v", "integer", 0, "verbosity; from 1 on, debug lines are logged too"),
    range: [-1_000, 1_000],
  },
  ignored("vmodule", "text", "", "verbosity by source file of flannel's own sources"),
  ignored("log_backtrace_at", "text", "", "lines of flannel's own sources"),
];

type Declare = (name: string, kind: Flag["kind"], fallback: Flag["fallback"], about: string) => Flag;

function accepted(...[name, kind, fallback, about]: Parameters<Declare>): Flag {
  return { name, kind, fallback, about, origin: "flannel", stance: "accepted" };
}

function refused(...[name, kind, fallback, about]: Parameters<Declare>): Flag {
  return { name, kind, fallback, about, origin: "flannel", stance: "refused" };
}

function ignored(...[name, kind, fallback, about]: Parameters<Declare>): Flag {
  return { name, kind, fallback, about, origin: "flannel", stance: "ignored" };
}
