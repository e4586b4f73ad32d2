/** One family of metrics, in Prometheus' terms. */
export interface MetricFamily {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  /** Its values, each with its labels. None: the family is left out. */
  readonly samples: readonly MetricSample[];
}

/** A value and its labels. */
export type MetricSample = readonly [value: number | undefined, labels?: Readonly<Record<string, string>>];

/**
 * Writes metrics in Prometheus' text format, version 0.0.4.
 *
 * @param families what to write; samples without a value are left out.
 * @returns the text.
 */
export function formatMetrics(families: readonly MetricFamily[]): string {
  return families.map(formatFamily).join("");
}

function formatFamily({ name, type, help, samples }: MetricFamily): string {
  const lines = samples.flatMap(([value, labels = {}]) =>
    value === undefined ? [] : [`${name}${formatLabels(labels)} ${value}\n`],
  );
  if (lines.length === 0) return "";
  const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
