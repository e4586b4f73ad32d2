/** Where packets meet a program: as they come in through a network device, or as they leave through it. */
export type AttachPoint = "ingress" | "egress";

/** BPF_TCX_INGRESS, BPF_TCX_EGRESS of `enum bpf_attach_type`. */
export const TCX: Readonly<Record<AttachPoint, number>> = { ingress: 46, egress: 47 };
