import { udpBackendOf } from "../udp-backend-of.ts";
import type { MetricFamily, MetricSample } from "./format-metrics.ts";
import type { NodeHealth } from "./node-health.ts";

/**
 * Reads the daemon's metrics.
 *
 * @param health what is known of it.
 * @param version of the program.
 * @param nowMs the time, in milliseconds since 1970.
 * @returns the families.
 */
export function readMetrics(health: NodeHealth, version: string, nowMs: number = Date.now()): MetricFamily[] {
  const { counts, node, store } = health;
  const brokenSince = store?.watchBrokenSince;
  const { expiresAt } = node?.lease ?? {};
  return [
    gauge("loden_info", "What runs; always 1", [
      [1, { version, backend: node?.backend.type ?? "", subnet: node?.lease.subnet.ipv4?.toString() ?? "" }],
    ]),
    gauge("loden_ready", "Whether /readyz says ready", [[health.problems().length === 0 ? 1 : 0]]),
    gauge("loden_lease_held", "Whether the store confirms this host's lease", [
      [health.leaseState === "held" ? 1 : 0],
    ]),
    gauge("loden_lease_expiry_timestamp_seconds", "When this host's lease ends unless it is renewed", [
      [expiresAt === undefined ? undefined : expiresAt / 1_000],
    ]),
    gauge("loden_leases", "Leases of the network that are known, this host's included", [
      [health.peers.length + (node === undefined ? 0 : 1)],
    ]),
    gauge("loden_peers", "Peers that packets can be sent to", [[node?.backend.stats().peers]]),
    counter("loden_lease_renewals_total", "Renewals that the store confirmed", [[counts.renewals]]),
    counter("loden_lease_retries_total", "Attempts to renew or acquire that failed", [
      [counts.renewalFailures],
    ]),
    counter("loden_lease_losses_total", "Leases that were lost or taken", [[counts.losses]]),
    counter("loden_subnet_changes_total", "How often another subnet had to be taken", [
      [counts.subnetChanges],
    ]),
    gauge(
      "loden_watch_lag_seconds",
      "How long changes of peers may have been missed; 0 while the watch follows",
      [[brokenSince === undefined ? 0 : Math.max(0, (nowMs - brokenSince) / 1_000)]],
    ),
    counter("loden_store_requests_total", "Calls to the lease store", byOperation(store?.calls)),
    counter("loden_store_errors_total", "Calls to the lease store that failed", byOperation(store?.errors)),
    counter("loden_firewall_errors_total", "Failed attempts to apply the firewall's rules", [
      [counts.firewallErrors],
    ]),
    counter(
      "loden_forged_datagrams_total",
      "Datagrams of containers that would have passed for a host's, dropped",
      [[health.forged.packets]],
    ),
    gauge("loden_network_changes_pending", "Changes of the configuration that apply after a restart", [
      [health.networkChanges.filter(({ needsRestart }) => needsRestart).length],
    ]),
    counter(
      "loden_events_total",
      "What the libraries reported",
      [...health.events].map(([key, count]): MetricSample => {
        const [area = "", type = ""] = key.split(" ");
        return [count, { area, type }];
      }),
    ),
    ...trafficOf(health),
    ...processOf(health),
  ];
}

function trafficOf({ node }: NodeHealth): MetricFamily[] {
  if (node === undefined) return [];
  const stats = node.backend.stats();
  const { kernelPath, wakeups } = udpBackendOf(node.backend) ?? {};
  const directions = [
    ["outbound", stats.outbound],
    ["inbound", stats.inbound],
  ] as const;
  return [
    gauge("loden_mtu_bytes", "What containers may use", [[node.backend.mtu]]),
    gauge("loden_kernel_path", "Whether the kernel passes plain packets of the udp backend on by itself", [
      [kernelPath && Number(kernelPath.on)],
    ]),
    counter(
      "loden_packets_total",
      "Packets passed on",
      directions.map(([direction, { packets }]) => [packets, { direction }]),
    ),
    counter(
      "loden_bytes_total",
      "Bytes passed on, of inner packets",
      directions.map(([direction, { bytes }]) => [bytes, { direction }]),
    ),
    counter(
      "loden_dropped_packets_total",
      "Packets dropped, by reason",
      directions.flatMap(([direction, { dropped }]) =>
        Object.entries(dropped).map(([reason, count]): MetricSample => [count, { direction, reason }]),
      ),
    ),
    counter("loden_icmp_errors_total", "ICMP errors about dropped packets", [
      [stats.icmpSent, { outcome: "sent" }],
      [stats.icmpSuppressed, { outcome: "suppressed" }],
    ]),
    counter(
      "loden_pump_wakeups_total",
      "How often the udp backend's pump was woken: steady while it has no packets",
      [[wakeups]],
    ),
    counter("loden_pump_restarts_total", "How often the packet path was started again", [[stats.restarts]]),
  ];
}

function processOf({ startedAt }: NodeHealth): MetricFamily[] {
  const { user, system } = process.cpuUsage();
  return [
    gauge("process_start_time_seconds", "When the process started", [[startedAt / 1_000]]),
    gauge("process_resident_memory_bytes", "Memory in use", [[process.memoryUsage.rss()]]),
    counter("process_cpu_seconds_total", "CPU time used", [[(user + system) / 1e6]]),
  ];
}

function byOperation(counts: ReadonlyMap<string, number> | undefined): MetricSample[] {
  return [...(counts ?? [])].map(([operation, count]) => [count, { operation }]);
}

function gauge(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, type: "gauge", help, samples };
}

function counter(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, type: "counter", help, samples };
}
