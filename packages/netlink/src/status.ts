import { numberOf, textOf, visitAttributes } from "./attribute.ts";
import { MessageFlag, type NetlinkMessage } from "./message.ts";

/**
 * What an error or done message says: errno 0 is success. With the socket option NETLINK_EXT_ACK the kernel adds why
 * and where.
 */
export interface NetlinkStatus {
  /** Positive errno, 0 when all went well. */
  readonly errno: number;
  /** The kernel's own words (NLMSGERR_ATTR_MSG). May accompany success, as a warning. */
  readonly detail?: string | undefined;
  /** Offset of the offending attribute from the start of the request's header, in bytes (NLMSGERR_ATTR_OFFS). */
  readonly offset?: number | undefined;
  /** Type of an attribute that the request lacks (NLMSGERR_ATTR_MISS_TYPE). */
  readonly missingType?: number | undefined;
}

/**
 * Reads an error message (NLMSG_ERROR, which is also the acknowledgement) or a done message (NLMSG_DONE, the end of a
 * dump): errno and, when the kernel sent it, the extended acknowledgement.
 *
 * @param message A message of type error or done.
 * @returns The errno and its explanation.
 * @throws {RangeError} The message is cut off.
 * @throws {TypeError} The message is of another type.
 */
export function decodeStatus(message: NetlinkMessage): NetlinkStatus {
  const { type, flags, payload } = message;
  if (type !== 2 && type !== 3)
    throw new TypeError(`Cannot decode netlink status: message type ${type}, expected 2 (error) or 3 (done)`);
  // Kernels before 4.12 end some dumps with an empty done message.
  const errno = type === 3 && payload.length === 0 ? 0 : -(numberOf(payload.subarray(0, 4)) | 0);
  if ((flags & MessageFlag.extendedAck) === 0) return { errno: errno === 0 ? 0 : errno };
  let detail: string | undefined;
  let offset: number | undefined;
  let missingType: number | undefined;
  visitAttributes(payload, extendedAckStart(message), (attribute, value) => {
    if (attribute === 1) detail = textOf(value);
    else if (attribute === 2) offset = numberOf(value);
    else if (attribute === 5) missingType = numberOf(value);
  });
  return {
    errno: errno === 0 ? 0 : errno,
    ...(detail !== undefined && { detail }),
    ...(offset !== undefined && { offset }),
    ...(missingType !== undefined && { missingType }),
  };
}

/** Where the attributes begin: after errno, and in an error message after the request, whole or only its header. */
function extendedAckStart(message: NetlinkMessage): number {
  if (message.type === 3) return 4;
  if ((message.flags & MessageFlag.capped) !== 0) return 20;
  return 4 + ((numberOf(message.payload.subarray(4, 8)) + 3) & ~3);
}
