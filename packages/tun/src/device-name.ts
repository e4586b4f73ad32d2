/**
 * Checks what a caller wants a device to be called: a name, or a template with one `%d` for the first free number.
 *
 * The kernel would cut a longer one off without a word. Source: `dev_valid_name()` and `dev_alloc_name()` in the kernel's `net/core/dev.c`.
 *
 * @param name the name or template.
 * @throws {RangeError} when no device can be called that.
 */
export function checkDeviceName(name: string): void {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes < 1 || bytes > 15) refuse(name, `it has ${bytes} bytes, expected 1 to 15`);
  if (/[\s/:\0]/.test(name) || name === "." || name === "..") {
    refuse(name, "expected no space, slash or colon, and neither . nor ..");
  }
  if (name.includes("%") && !/^[^%]*%d[^%]*$/.test(name)) refuse(name, "expected at most one %, as %d");
}

function refuse(name: string, reason: string): never {
  throw new RangeError(`Cannot name a TUN device "${name}": ${reason}`);
}
