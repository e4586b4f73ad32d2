import { describe, expect, test } from "vitest";
import { shareOfSoftInterrupts } from "./sample-soft-interrupts.ts";

const polling = "napi/p-1 \n\tffffffff81 veth_poll\n\tffffffff82 napi_threaded_poll_loop\n\n";
const sending =
  "napi/p-1 \n\tffffffff83 tcp_write_xmit\n\tffffffff84 handle_softirqs\n\tffffffff82 napi_threaded_poll_loop\n\n";

describe("shareOfSoftInterrupts()", () => {
  test("shareOfSoftInterrupts() counts the samples with a soft interrupt in their stack", () => {
    expect(shareOfSoftInterrupts(polling + sending + polling + polling)).toBe(0.25);
    expect(shareOfSoftInterrupts(polling)).toBe(0);
    expect(shareOfSoftInterrupts(sending.replace("handle_softirqs", "__do_softirq"))).toBe(1);
  });

  test("shareOfSoftInterrupts() says nothing when there are no samples", () => {
    expect(shareOfSoftInterrupts("\n")).toBeUndefined();
  });
});
