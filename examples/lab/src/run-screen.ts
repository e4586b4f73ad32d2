import { emitKeypressEvents } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { openLab, NETWORK } from "./lab.ts";
import type { StoreName } from "./open-storage.ts";
import type { LabHost } from "./lab-host.ts";
import type { TransferView } from "./lab-view.ts";
import { colourPalette, plainPalette, renderScreen } from "./render-screen.ts";

const REFRESH_MS = 500;
const TRANSFER_BYTES = 64 * 1024 * 1024;
const TRANSFER_EVERY_MS = 5000;

/**
 * Runs the lab on a terminal until `q` or Ctrl-C: a live table, and keys that change things.
 *
 * @param options how many hosts to start with.
 */
export async function runScreen(options: {
  readonly hosts: number;
  readonly store: StoreName;
  readonly signal: AbortSignal;
}): Promise<void> {
  const quit = new AbortController();
  const signal = AbortSignal.any([options.signal, quit.signal]);
  const events: string[] = [];
  const say = (text: string): void => void events.push(`${new Date().toLocaleTimeString("en-GB")} ${text}`);
  const lab = await openLab(options.store, say);
  const rtt: (number | null)[][] = [];
  const transfers = new Map<string, TransferView>();
  const palette = process.env["NO_COLOR"] === undefined ? colourPalette : plainPalette;
  let selected = 0;

  async function draw(): Promise<void> {
    const hosts = await Promise.all(lab.hosts.map((host) => host.view()));
    const { columns, rows } = process.stdout;
    const view = { network: NETWORK, hosts, selected, rtt, transfers: [...transfers.values()], events };
    const lines = renderScreen(view, palette, { columns, rows });
    process.stdout.write(`\u001B[H${lines.map((line) => `${line}\u001B[K`).join("\n")}\u001B[J`);
  }

  async function measure(): Promise<void> {
    await Promise.all(
      lab.hosts.map(async (from, i) => {
        const row = (rtt[i] ??= []);
        await Promise.all(
          lab.hosts.map(async (to, j) => {
            if (i !== j) row[j] = await lab.ping(from, to, 400);
          }),
        );
      }),
    );
  }

  async function moveBytes(turn: number): Promise<void> {
    const up = lab.hosts.filter((host) => host.containers.length > 0);
    if (up.length < 2) return;
    const from = up[turn % up.length] as LabHost;
    const to = up[(turn + 1) % up.length] as LabHost;
    const result = await lab.transfer(from, to, TRANSFER_BYTES, signal);
    transfers.set(`${from.name} ${to.name}`, { from: from.name, to: to.name, ...result });
  }

  async function press(name: string | undefined): Promise<void> {
    const host = lab.hosts[selected];
    if (name === "q") quit.abort();
    else if (name === "a") await lab.addHost();
    else if (name === "s" && host !== undefined) {
      await host.stop();
      say(`${host.name}: stopped, and its lease given back`);
    } else if (name === "b" && host !== undefined) {
      await host.breakRoute();
      say(`${host.name}: somebody deleted its route to the overlay`);
      void routeIsBack(host).then(
        (ms) => say(`${host.name}: its route is back, after ${ms} ms: Loden saw it go`),
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
    ]);
  } finally {
    restore();
    console.log("removing everything");
    await lab.close();
  }
}

/** Waits until a host has a route again; gives the time that it took, in milliseconds. */
async function routeIsBack(host: LabHost): Promise<number> {
  const started = performance.now();
  while ((await host.view()).routes.length === 0) {
    if (performance.now() - started > 10_000) throw new Error(`${host.name} has no route after 10 s`);
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
