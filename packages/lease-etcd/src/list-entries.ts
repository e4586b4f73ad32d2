import { EtcdStatusError, GrpcStatus } from "./etcd-errors.ts";
import type { EtcdEntry, EtcdTransport, KeyRange, TransportCallOptions } from "./transport/etcd-transport.ts";

/** Entries of one revision. */
export interface EntryList {
  readonly entries: readonly EtcdEntry[];
  /** The revision at which all of them were read. */
  readonly revision: string;
}

// About 2 MB. Most networks are one page; the default limit of gRPC is met at about 40,000 leases.
const entriesPerPage = 16_384;

/**
 * Reads a range at one revision, page by page.
 *
 * @param transport - where it is
 * @param range - what to read
 * @param options - what it is for
 * @returns the entries
 */
export async function listEntries(
  transport: EtcdTransport,
  range: KeyRange,
  options: TransportCallOptions,
): Promise<EntryList> {
  for (;;) {
    try {
      return await listPages(transport, range, options);
    } catch (error) {
      // The revision was compacted between two pages.
      if (!(error instanceof EtcdStatusError && error.status === GrpcStatus.outOfRange)) throw error;
    }
  }
}

async function listPages(
  transport: EtcdTransport,
  range: KeyRange,
  options: TransportCallOptions,
): Promise<EntryList> {
  const entries: EtcdEntry[] = [];
  let revision: string | undefined;
  let { key } = range;
  for (;;) {
    const page = await transport.range(
      { ...range, key, limit: entriesPerPage, revision },
      { ...options, isLarge: true },
    );
    revision ??= page.revision;
    for (const entry of page.entries) entries.push(entry);
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return { entries, revision };
    key = Buffer.concat([last.key, Buffer.of(0)]);
  }
}
