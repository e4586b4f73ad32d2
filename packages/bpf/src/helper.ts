/** Numbers of the kernel's functions for BPF programs, under their names in `include/uapi/linux/bpf.h` without `bpf_`. */
export const Helper = {
  map_lookup_elem: 1,
  skb_store_bytes: 9,
  redirect: 23,
  skb_load_bytes: 26,
  skb_pull_data: 39,
  skb_change_head: 43,
  skb_adjust_room: 50,
  redirect_neigh: 152,
} as const;

/** Offsets of what a program of a network device sees of a packet: `struct __sk_buff`. 32 bits each. */
export const PacketContext = {
  len: 0,
  ifindex: 40,
  data: 76,
  data_end: 80,
  gso_size: 176,
  gso_segs: 164,
} as const;

/** What a program at a network device answers: `TCX_*`, `TC_ACT_*`. */
export const Verdict = {
  /** The next program decides; after the last one the packet goes on. */
  next: -1,
  pass: 0,
  drop: 2,
  redirect: 7,
} as const;
