/**
 * Joins the parts of a key as Go's `path.Join` does, and so as flannel does: empty parts are left out, slashes in a row
 * become one, `.` and `..` are resolved, and no slash is added in front.
 *
 * @param parts - such as `/coreos.com/network` and `config`
 * @returns the key; `""` when all parts are empty
 */
export function joinPath(...parts: readonly string[]): string {
  const joined = parts.filter((part) => part !== "").join("/");
  if (joined === "") return "";
  const isRooted = joined.startsWith("/");
  const names: string[] = [];
  for (const name of joined.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") names.push(name);
    else if (names.length > 0 && names.at(-1) !== "..") names.pop();
    else if (!isRooted) names.push(name);
  }
  const path = names.join("/");
  return isRooted ? `/${path}` : path || ".";
}
