/** The folder in which named network namespaces are mounted, as `ip netns` has it. */
export const NETNS_FOLDER = "/run/netns";

/**
 * Gives the file of a named network namespace.
 *
 * @param name the name: no slash, not `.` or `..`.
 * @returns its path.
 * @throws {RangeError} for a name that is none.
 */
export function netnsFile(name: string): string {
  if (!/^[^/\0]{1,255}$/.test(name) || name === "." || name === "..") {
    throw new RangeError(
      `Cannot name a network namespace: "${name}" is no file name, expected one without a slash`,
    );
  }
  return `${NETNS_FOLDER}/${name}`;
}
