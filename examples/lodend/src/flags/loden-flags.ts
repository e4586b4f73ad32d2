import type { Flag } from "./flag.ts";

/** The flags that flanneld does not have. */
export const lodenFlags: readonly Flag[] = [
  {
    ...own("store", "text", "etcd", "where leases are kept; `memory` is for trying things out on one host"),
    choices: ["etcd", "memory"],
  },
  own("store-wait", "duration", "30s", "how long to wait for the store at the start; `0s`: for ever"),
  own("config-poll", "duration", "60s", "how often to look for changes of the network's configuration"),
  own("subnet-lease-ttl", "duration", "24h", "how long the lease lasts without renewal"),
  own("release-on-exit", "boolean", false, "give the subnet back when stopped"),
  {
    ...own(
      "on-subnet-change",
      "text",
      "continue",
      "what to do when the host has to take another subnet; `exit` ends with 8 after writing it",
    ),
    choices: ["continue", "exit"],
  },
  own(
    "fence",
    "boolean",
    false,
    "stop packets while the lease is unconfirmed, instead of going on until another owner shows",
  ),
  {
    ...own(
      "peer-source",
      "text",
      "strict",
      "whose datagrams are taken: those from published addresses, or from `any`",
    ),
    choices: ["strict", "any"],
  },
  {
    ...own(
      "kernel-path",
      "text",
      "auto",
      "udp: `auto` lets the kernel pass plain packets on by itself where it can, past firewall rules for the port; `off`: all go through this process",
    ),
    choices: ["auto", "off"],
  },
  own("device-name", "text", "loden%d", "udp: name of the TUN device; `%d` is the first free number"),
  own(
    "vxlan-prefix",
    "text",
    "loden",
    "vxlan: what the devices' names begin with; `flannel` takes over those of flanneld",
  ),
  own(
    "vxlan-checksum-offload",
    "boolean",
    true,
    "vxlan: leave checksums to what is below; `false` for kernels and network cards that get those of encapsulated packets wrong",
  ),
  own("name", "text", "loden", "tells several `lodend` on one host apart: control socket, firewall table"),
  own("control-socket", "text", "", "where `lodend` commands reach the daemon; `/run/loden/<name>.sock`"),
  own("masq-except", "texts", [], "destination network that is never masqueraded"),
  own(
    "drop-forged",
    "boolean",
    true,
    "drop what containers send to other hosts' port of encapsulated packets; a host that routes for other hosts of the network may need `false`",
  ),
  {
    ...own("log-format", "text", "auto", "`auto`: for humans on a terminal, else a JSON object a line"),
    choices: ["auto", "human", "json"],
  },
  own("json", "boolean", false, "`status`: print one JSON object"),
  own("help", "boolean", false, "print the usage and end"),
];

function own(name: string, kind: Flag["kind"], fallback: Flag["fallback"], about: string): Flag {
  return { name, kind, fallback, about, origin: "Loden", stance: "accepted" };
}
