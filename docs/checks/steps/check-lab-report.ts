// The members of the lab's JSON object that are promised to its users.
interface LabReport {
  readonly ok: boolean;
  readonly hosts: number | readonly unknown[];
  readonly pairs: { readonly reachable: number; readonly total: number };
  readonly transfers: { readonly equal: number; readonly total: number };
  readonly datagrams: { readonly ownSource: number; readonly total: number };
  readonly outside?: { readonly hostSource: number; readonly total: number };
  readonly kernelPath?: { readonly on: number; readonly total: number; readonly reason?: string };
}

/**
 * Judges what `lab --once --json` printed: exactly one JSON object, as many hosts as asked for, every pair reachable, every transfer equal, every
 * datagram from the source that it should have.
 * Prints what is wrong and returns whether all is well.
 */
export function checkLabReport(output: string, hosts: number): boolean {
  let report: LabReport;
  try {
    report = JSON.parse(output) as LabReport;
  } catch (error) {
    console.log(`the lab printed no JSON object (${String(error)}): ${output.slice(0, 2_000)}`);
    return false;
  }
  const { ok, pairs, transfers, datagrams, outside, kernelPath } = report;
  const count = typeof report.hosts === "number" ? report.hosts : report.hosts?.length;
  console.log(
    `hosts ${count}: ok ${ok}, pairs ${pairs?.reachable}/${pairs?.total}, transfers ${transfers?.equal}/${transfers?.total}, ` +
      `datagrams ${datagrams?.ownSource}/${datagrams?.total}, outside ${outside?.hostSource ?? 0}/${outside?.total ?? 0}, ` +
      `kernel path ${kernelPath?.on ?? 0}/${kernelPath?.total ?? 0}${kernelPath?.reason === undefined ? "" : ` (${kernelPath.reason})`}`,
  );
  const good =
    ok &&
    count === hosts &&
    pairs.total >= (hosts * (hosts - 1)) / 2 &&
    pairs.reachable === pairs.total &&
    transfers.total >= 1 &&
    transfers.equal === transfers.total &&
    datagrams.total === pairs.total &&
    datagrams.ownSource === datagrams.total &&
    outside?.hostSource === outside?.total;
  if (!good) console.log(output);
  return good;
}
