import { emitKeypressEvents } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { openLab } from "./lab.ts";
import { type LabSettings, NETWORKS } from "./lab-settings.ts";
import type { LabHost } from "./lab-host.ts";
import type { OutsideView, TransferView } from "./lab-view.ts";
import { colourPalette, plainPalette, renderScreen } from "./render-screen.ts";

const REFRESH_MS = 500;
const TRANSFER_BYTES = 64 * 1024 * 1024;
const TRANSFER_EVERY_MS = 5000;
const DATAGRAM_BYTES = 1000;

/**
 * Runs the lab on a terminal until `q` or Ctrl-C: a live table, and keys that change things.
 *
 * @param options how many hosts to start with.
 */
export async function runScreen(options: {
  readonly hosts: number;
  readonly settings: LabSettings;
  readonly signal: AbortSignal;
}): Promise<void> {
  const quit = new AbortController();
  const signal = AbortSignal.any([options.signal, quit.signal]);
  const events: string[] = [];
  const say = (text: string): void => void events.push(`${new Date().toLocaleTimeString("en-GB")} ${text}`);
  const { settings } = options;
  const lab = await openLab(settings, say);
  const { families } = lab;
  const network = families.map((family) => NETWORKS[family]).join(" and ");
  const rtt: (number | null)[][][] = families.map(() => []);
  const outside: OutsideView[] = [];
  const transfers = new Map<string, TransferView>();
  const palette = process.env["NO_COLOR"] === undefined ? colourPalette : plainPalette;
  let selected = 0;

  async function draw(): Promise<void> {
    const hosts = await Promise.all(lab.hosts.map((host) => host.view()));
    const { columns, rows } = process.stdout;
    const measured = { rtt, transfers: [...transfers.values()], outside: settings.nat ? outside : undefined };
    const view = { network, settings, hosts, selected, ...measured, events };
    const lines = renderScreen(view, palette, { columns, rows });
    process.stdout.write(`\u001B[H${lines.map((line) => `${line}\u001B[K`).join("\n")}\u001B[J`);
  }

  async function measure(): Promise<void> {
    const ways = families.flatMap((family, index) =>
      lab.hosts.flatMap((from, i) => lab.hosts.map((to, j) => ({ family, index, from, to, i, j }))),
    );
    await Promise.all(
      ways.map(async ({ family, index, from, to, i, j }) => {
        const matrix = rtt[index] as (number | null)[][];
        if (i !== j) (matrix[i] ??= [])[j] = await lab.ping(from, to, 400, family);
      }),
    );
  }

  async function askOutside(): Promise<void> {
    const answers = await Promise.all(
      lab.hosts.map(async (host) => {
        const seen = await Promise.all(
          families.map((family) => lab.datagram(host, "outside", DATAGRAM_BYTES, family)),
        );
        return {
          seen: seen.map((source) => source && source.toString()),
          expected: host.addresses.map((address) => address.toString()),
        };
      }),
    );
    outside.splice(0, outside.length, ...answers);
  }

  async function moveBytes(turn: number): Promise<void> {
    const up = lab.hosts.filter((host) => host.containers.length > 0);
    if (up.length < 2) return;
    const from = up[turn % up.length] as LabHost;
    const to = up[(turn + 1) % up.length] as LabHost;
    const family = families[Math.floor(turn / up.length) % families.length];
    const result = await lab.transfer(from, to, TRANSFER_BYTES, { family, signal });
    const name = `${from.name} -> ${to.name}${family === 6 ? " over IPv6" : ""}`;
    transfers.set(name, { name, ...result });
  }

  async function press(name: string | undefined): Promise<void> {
    const host = lab.hosts[selected];
    if (name === "q") quit.abort();
    else if (name === "a") await lab.addHost();
    else if (name === "s" && host !== undefined) {
      await host.stop();
      say(`${host.name}: stopped, and its lease given back`);
    } else if (name === "b" && host !== undefined) {
      const { length } = (await host.view()).routes;
      await host.breakRoute();
      const [what, is] = length > 1 ? ["routes", "are"] : ["route", "is"];
      say(`${host.name}: somebody deleted its ${what} to the overlay`);
      void routesAreBack(host, length).then(
        (ms) => say(`${host.name}: its ${what} ${is} back, after ${ms} ms: Loden saw it go`),
        report,
      );
    } else if (name !== undefined && /^[1-9]$/.test(name))
      selected = Math.min(Number(name), lab.hosts.length) - 1;
    await draw();
  }

  const report = (error: unknown): void => {
    if (!signal.aborted) say(`problem: ${(error as Error).message}`);
  };
  const restore = takeTerminal(
    (name) => void press(name).catch(report),
    () => quit.abort(),
  );
  try {
    for (let i = 0; i < options.hosts && !signal.aborted; i++) {
      await lab.addHost();
      await draw();
    }
    await Promise.all([
      repeat(signal, REFRESH_MS, draw, report),
      repeat(signal, 1000, measure, report),
      repeat(signal, TRANSFER_EVERY_MS, moveBytes, report),
      ...(settings.nat ? [repeat(signal, 1000, askOutside, report)] : []),
    ]);
  } finally {
    restore();
    console.log("removing everything");
    await lab.close();
  }
}

/** Waits until a host has as many routes as before; gives the time that it took, in milliseconds. */
async function routesAreBack(host: LabHost, count: number): Promise<number> {
  const started = performance.now();
  while ((await host.view()).routes.length < count) {
    if (performance.now() - started > 10_000)
      throw new Error(`Cannot show the repair: ${host.name} has no route after 10 s, expected it back`);
    await setTimeout(5);
  }
  return Math.round(performance.now() - started);
}

/** Runs a task again and again, with a pause between, until the signal; what fails is reported and tried again. */
async function repeat(
  signal: AbortSignal,
  pauseMs: number,
  task: (turn: number) => Promise<void>,
  report: (error: unknown) => void,
): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    await task(turn).catch(report);
    await setTimeout(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Full screen, no cursor, single keys; gives the function that undoes it. */
function takeTerminal(onKey: (name: string | undefined) => void, onInterrupt: () => void): () => void {
  const { stdin, stdout } = process;
  emitKeypressEvents(stdin);
  stdin.setRawMode?.(true);
  const listener = (_text: string, key: { name?: string; ctrl?: boolean; sequence?: string }): void => {
    if (key.ctrl === true && key.name === "c") onInterrupt();
    else onKey(key.name ?? key.sequence);
  };
  stdin.on("keypress", listener).resume();
  stdout.write("\u001B[?1049h\u001B[?25l");
  return () => {
    stdin.off("keypress", listener).pause();
    stdin.setRawMode?.(false);
    stdout.write("\u001B[?25h\u001B[?1049l");
  };
}
