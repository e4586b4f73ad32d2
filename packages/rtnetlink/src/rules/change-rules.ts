import type { KernelError } from "@loden/linux";
import { encodeRule, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { verbFlags } from "../verb-flags.ts";
import { formatRule } from "./format-rule.ts";
import { type Rule, ruleMessage } from "./rule.ts";

/** What to do with a rule. */
export interface RuleChange {
  /** As in `ip rule VERB`. */
  readonly verb: "add" | "delete";
  /** For `delete`: what is given must match. */
  readonly rule: Rule;
}

/** Carries out changes of rules, as `ip rule add|delete`. */
export async function changeRules(
  socket: RequestSocket,
  changes: Iterable<RuleChange>,
  options?: CallOptions,
): Promise<(KernelError | undefined)[]> {
  return changeMany(
    socket,
    changes,
    {
      links: () => [],
      attempt: ({ verb, rule }) => `${verb} rule ${formatRule(rule)}`,
      request: ({ verb, rule }) => ({
        type: verb === "add" ? MessageType.newRule : MessageType.deleteRule,
        flags: verbFlags[verb],
        payload: encodeRule(ruleMessage(rule)),
      }),
    },
    options,
  );
}
