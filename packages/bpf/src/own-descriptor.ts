import { closeFd } from "@loden/linux";

/** A descriptor that is closed once. */
export interface OwnedDescriptor extends Disposable {
  /** @throws {TypeError} when it is closed: the number may be another descriptor's by now. */
  readonly fd: number;
  readonly close: () => void;
}

/**
 * Takes a descriptor over.
 *
 * @param fd the descriptor; nobody else closes it.
 * @param what it stands for, in words.
 */
export function ownDescriptor(fd: number, what: string): OwnedDescriptor {
  let open = true;
  const close = (): void => {
    if (open) closeFd(fd);
    open = false;
  };
  return {
    get fd() {
      if (open) return fd;
      throw new TypeError(`Cannot use ${what}: it is closed, expected an open one`);
    },
    close,
    [Symbol.dispose]: close,
  };
}
