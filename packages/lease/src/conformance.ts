/**
 * What every lease store must do, as cases that any test runner can run: ours for our adapters, yours for your own. They
 * use node:assert and import no test runner.
 *
 * @example An adapter's conformance test under any runner that has `test(title, run)`
 * ```ts
 * import { leaseStoreConformance } from "@loden/lease/conformance";
 * import assert from "node:assert/strict";
 *
 * const supports = { ttl: true, resume: false, reservations: true, flannelText: false };
 * const cases = leaseStoreConformance.filter(({ requires }) => requires.every((member) => supports[member]));
 * assert(cases.length > 0 && cases.length < leaseStoreConformance.length);
 * // for (const { title, run } of cases) test(title, () => run(freshContext()));
 * ```
 *
 * @module
 */
import { callCases } from "./conformance/call-cases.ts";
import { claimCases } from "./conformance/claim-cases.ts";
import type { ConformanceCase } from "./conformance/context.ts";
import { defectCases } from "./conformance/defect-cases.ts";
import { entryCases } from "./conformance/entry-cases.ts";
import { renewCases } from "./conformance/renew-cases.ts";
import { watchCases } from "./conformance/watch-cases.ts";

export { conformanceConfig, type ConformanceCase, type ConformanceContext } from "./conformance/context.ts";

/**
 * The cases, of the store and at last of the engine over it. Each needs a context of its own over a storage without leases. Run those whose `requires` are all true in
 * the store's `supports`, and skip for no other reason.
 */
export const leaseStoreConformance: readonly ConformanceCase[] = [
  ...callCases,
  ...claimCases,
  ...renewCases,
  ...watchCases,
  ...entryCases,
  ...defectCases,
];
