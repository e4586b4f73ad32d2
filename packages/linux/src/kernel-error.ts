import { describeErrno } from "./errno.ts";

/** What a {@link KernelError} is made of. */
export interface KernelErrorOptions {
  /** What was attempted, in words: `open /dev/net/tun`. */
  readonly attempt: string;
  /** The system call that failed, or `netlink`. */
  readonly syscall: string;
  /** The positive error number. */
  readonly errno: number;
  /** The kernel's own text, where it gave one (netlink's extended acknowledgement). */
  readonly detail?: string | undefined;
}

/**
 * The kernel refused a system call or a netlink request.
 *
 * `code` is the name of the error number (`EEXIST`), so that callers match on it as they do with Node's own errors.
 */
export class KernelError extends Error {
  override readonly name = "KernelError";
  /** The name of the error number, e.g. `EEXIST`. */
  readonly code: string;
  /** The positive error number, e.g. 17. */
  readonly errno: number;
  /** The system call that failed, or `netlink`. */
  readonly syscall: string;
  /** The kernel's own text, where it gave one. */
  readonly detail: string | undefined;

  /** @param options what was attempted and what the kernel answered. */
  constructor(options: KernelErrorOptions) {
    const { code, text } = describeErrno(options.errno);
    const own = options.detail === undefined ? "" : `: ${options.detail}`;
    super(`Cannot ${options.attempt}: ${text} (${code} from ${options.syscall})${own}`);
    this.code = code;
    this.errno = options.errno;
    this.syscall = options.syscall;
    this.detail = options.detail;
  }
}
