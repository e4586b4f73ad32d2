import type { Rule } from "./rule.ts";

/**
 * Writes a rule in the words of `ip rule`, so that `ip rule add TEXT` adds the same one (`ip -6 rule` where neither prefix
 * tells the family).
 *
 * @param rule The rule.
 * @returns For example `from 10.5.0.0/16 fwmark 0x4000/0x4000 table 100 priority 1000`.
 */
export function formatRule(rule: Rule): string {
  const { from, to, priority, mark, markMask, inputLink, outputLink, action = "lookup" } = rule;
  const { table = 254, suppressPrefixLength, protocol } = rule;
  const words: string[] = [];
  if (rule.invert) words.push("not");
  words.push("from", from?.toString() ?? "all");
  if (to) words.push("to", to.toString());
  if (mark !== undefined) {
    const mask = markMask === undefined ? "" : `/0x${markMask.toString(16)}`;
    words.push("fwmark", `0x${mark.toString(16)}${mask}`);
  }
  if (inputLink !== undefined) words.push("iif", inputLink);
  if (outputLink !== undefined) words.push("oif", outputLink);
  if (action === "lookup") words.push("table", String(table));
  else words.push(action);
  if (suppressPrefixLength !== undefined) words.push("suppress_prefixlength", String(suppressPrefixLength));
  if (priority !== undefined) words.push("priority", String(priority));
  if (protocol !== undefined) words.push("protocol", String(protocol));
  return words.join(" ");
}
