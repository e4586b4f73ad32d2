/** What the threads of a traffic agent share. */
export interface TrafficCells {
  /** Set to 1: end the job. */
  readonly stop: Int32Array<SharedArrayBuffer>;
  /** What was moved since the agent started; one writer. */
  readonly moved: Float64Array<SharedArrayBuffer>;
}

/** Indices into {@link TrafficCells.moved}. */
export const Moved = { bytes: 0, packets: 1 } as const;

/** Makes fresh cells. */
export function createCells(): TrafficCells {
  return {
    stop: new Int32Array(new SharedArrayBuffer(4)),
    moved: new Float64Array(new SharedArrayBuffer(16)),
  };
}

/** Whether the job is to end. */
export function isStopped({ stop }: TrafficCells): boolean {
  return Atomics.load(stop, 0) === 1;
}

/** Adds to what was moved. */
export function addMoved({ moved }: TrafficCells, bytes: number, packets: number): void {
  moved[Moved.bytes] = (moved[Moved.bytes] ?? 0) + bytes;
  moved[Moved.packets] = (moved[Moved.packets] ?? 0) + packets;
}
