/**
 * Refuses a name that the kernel would refuse, or cut (`BPF_OBJ_NAME_LEN`, `bpf_obj_name_cpy`).
 *
 * @param what has the name, in words.
 * @param name 1 to 15 letters, digits, `_` and `.`.
 * @throws {RangeError} for any other.
 */
export function checkName(what: string, name: string): void {
  if (/^[A-Za-z0-9_.]{1,15}$/.test(name)) return;
  throw new RangeError(
    `Cannot name a ${what} ${JSON.stringify(name)}: it has ${name.length} characters, expected 1 to 15 of A-Z, a-z, 0-9, "_" and "."`,
  );
}
