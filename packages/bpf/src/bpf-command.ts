/** `enum bpf_cmd` of `include/uapi/linux/bpf.h`, as far as this package goes. */
export const Command = {
  mapCreate: 0,
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  programLoad: 5,
  mapUpdateBatch: 26,
  linkCreate: 28,
} as const;
