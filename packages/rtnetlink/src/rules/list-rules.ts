import type { AddressFamily } from "@loden/ip";
import { decodeRule, encodeRule, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type ListedRule, ruleOf } from "./rule.ts";

/** Which rules to list. */
export interface RuleFilter extends CallOptions {
  /** Both without it. */
  readonly family?: AddressFamily | undefined;
}

/** Lists rules in their order, as `ip rule` and `ip -6 rule`. */
export async function listRules(socket: RequestSocket, filter: RuleFilter = {}): Promise<ListedRule[]> {
  filter.signal?.throwIfAborted();
  const families: readonly AddressFamily[] = filter.family === undefined ? [4, 6] : [filter.family];
  return families.flatMap((family) =>
    socket.dump(
      {
        type: MessageType.getRule,
        payload: encodeRule({ family, action: 0 }),
        attempt: () => `list IPv${family} rules`,
      },
      ({ payload }) => ruleOf(decodeRule(payload)),
    ),
  );
}
