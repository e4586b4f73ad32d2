/**
 * Number that marks routes as Loden's where no other is given (RTPROT_*). Programs choose theirs among 5-255; this one is in
 * no list of iproute2's (/etc/iproute2/rt_protos).
 */
export const LODEN_PROTOCOL = 76;
