/**
 * Functions of the kernel that programs call (the kernel says "helpers"), by their names in its headers without `bpf_`: what `Assembler.call` takes.
 *
 * Source: `__BPF_FUNC_MAPPER` of `include/uapi/linux/bpf.h`, which describes them.
 */
export const KernelFunction = {
  map_lookup_elem: 1,
  skb_store_bytes: 9,
  redirect: 23,
  skb_load_bytes: 26,
  skb_pull_data: 39,
  skb_change_head: 43,
  skb_adjust_room: 50,
  redirect_neigh: 152,
} as const;
