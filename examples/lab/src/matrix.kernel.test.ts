import { afterEach, describe, expect, test } from "vitest";
import { openLab, type Lab } from "./lab.ts";
import { backendNames, defaultSettings, type LabSettings } from "./lab-settings.ts";
import { runChecks } from "./run-checks.ts";

//   switch --- host1 --- c1, c2            each backend, IPv4 alone and dual stack
//     |------- host2 --- c1, c2
//     |------- host3 --- c1, c2
//     `------- outside, 198.51.100.1

let lab: Lab;
const hosts = 3;
const signal = new AbortController().signal;

afterEach(() => lab.close());

describe.each(backendNames)("containers of three hosts with the %s backend", (backend) => {
  test.each([
    { name: "IPv4", dualStack: false, mtu: 1500 },
    { name: "dual stack", dualStack: true, mtu: 1500 },
    { name: "jumbo frames", dualStack: false, mtu: 9001 },
  ])("$name: reach each other with their own source, and outside with their host's", async (more) => {
    await start({ ...more, backend });
    const families = more.dualStack ? 2 : 1;
    const all = families * hosts * (hosts - 1);
    expect(await runChecks(lab, { say: () => undefined, signal, transferBytes: 4 << 20 })).toMatchObject({
      ok: true,
      families: more.dualStack ? [4, 6] : [4],
      pairs: { reachable: all, total: all },
      datagrams: { ownSource: all, total: all },
      transfers: { equal: families * hosts, total: families * hosts },
      outside: { hostSource: families * hosts, total: families * hosts },
    });
  });
});

async function start(settings: Partial<LabSettings>): Promise<void> {
  const events: string[] = [];
  lab = await openLab({ ...defaultSettings, ...settings, nat: true }, (text) => events.push(text));
  for (let number = 1; number <= hosts; number++) await lab.addHost();
  expect(events.filter((text) => text.includes("FAILED"))).toEqual([]);
}
