/** How much a line matters. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line says beside its message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes log lines. */
export interface Logger {
  /** Writes one line. */
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

/** Settings of {@link createLogger}. */
export interface LoggerOptions {
  /** A JSON object a line, or text for humans. */
  readonly format: "human" | "json";
  /** Whether debug lines are written. */
  readonly isVerbose: boolean;
  /** Texts that never appear in a line, whoever put them there. */
  readonly secrets: readonly string[];
  /** Takes each line, its end included. */
  readonly write: (line: string) => void;
  /** The time in milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Makes a logger.
 *
 *     {"time":"2026-01-02T03:04:05.678Z","level":"info","message":"joined","device":"loden0"}
 *     03:04:05 info  joined device=loden0
 *
 * @param options format and where lines go.
 * @returns the logger.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { format, isVerbose, write, now = Date.now } = options;
  const secrets = options.secrets.filter((secret) => secret !== "");
  return {
    log(level, message, fields = {}) {
      if (level === "debug" && !isVerbose) return;
      const time = new Date(now()).toISOString();
      const plain = Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name, hide(plainOf(value), secrets)]),
      );
      const said = hide(message, secrets) as string;
      if (format === "json") write(`${JSON.stringify({ time, level, message: said, ...plain })}\n`);
      else write(`${time.slice(11, 19)} ${level.padEnd(5)} ${said}${formatFields(plain)}\n`);
    },
  };
}

/** What JSON can carry: errors as their message, addresses and prefixes as their text. Three decimals are enough. */
function plainOf(value: unknown): unknown {
  if (typeof value === "number") return Math.round(value * 1_000) / 1_000;
  if (value instanceof AggregateError) return [value.message, ...value.errors.map(plainOf)].join("; ");
  if (value instanceof Error) return value.message;
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== "object" || value === null) return value;
  const { toJSON } = value as { readonly toJSON?: () => unknown };
  if (typeof toJSON === "function") return toJSON.call(value);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plainOf(member)]));
}

function hide(value: unknown, secrets: readonly string[]): unknown {
  if (secrets.length === 0 || value === undefined) return value;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (!secrets.some((secret) => text.includes(secret))) return value;
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, "***"), text);
}

function formatFields(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const text = textOf(value);
      return ` ${name}=${/[\s"]/.test(text) ? JSON.stringify(text) : text}`;
    })
    .join("");
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}
