/**
 * Where things lie in what r1 points to when a program at a network device begins: 32 bits each.
 *
 * `data` and `data_end` are pointers to the packet's beginning and end; the kernel lets a program touch what it has compared with `data_end`.
 *
 * Source: `struct __sk_buff` of `include/uapi/linux/bpf.h`.
 */
export const PacketContext = {
  len: 0,
  pkt_type: 4,
  mark: 8,
  protocol: 16,
  vlan_present: 20,
  ifindex: 40,
  data: 76,
  data_end: 80,
  gso_segs: 164,
  gso_size: 176,
} as const;
