import { ExitCode } from "./exit-codes.ts";
import { LodendError } from "./lodend-error.ts";

/**
 * Says with which code an error ends the process, and what the operator can do about it.
 *
 * @param error whatever ended the daemon.
 * @returns the code, and one line.
 */
export function exitCodeOf(error: unknown): { readonly exitCode: ExitCode; readonly line: string } {
  const message = oneLine(error);
  if (error instanceof LodendError) return { exitCode: error.exitCode, line: message };
  const found = error instanceof Error ? rules.find((rule) => rule.applies(error)) : undefined;
  if (found === undefined) return { exitCode: ExitCode.failed, line: message };
  return { exitCode: found.exitCode, line: `${message}; ${found.advice}` };
}

interface CodedError extends Error {
  readonly code?: string;
  readonly syscall?: string;
  readonly path?: string;
}

interface Rule {
  applies(error: CodedError): boolean;
  readonly exitCode: ExitCode;
  readonly advice: string;
}

const rules: readonly Rule[] = [
  {
    applies: ({ code, name }) => code === "ERR_NETWORK_CONFIG" || name === "SyntaxError",
    exitCode: ExitCode.config,
    advice: "correct the network's configuration in the store",
  },
  {
    applies: ({ code }) => code === "ERR_STORE_DENIED",
    exitCode: ExitCode.store,
    advice: "check --etcd-username, --etcd-password and the certificates",
  },
  {
    applies: ({ code }) => code?.startsWith("ERR_STORE_") === true,
    exitCode: ExitCode.store,
    advice: "check --etcd-endpoints and whether etcd runs",
  },
  {
    applies: (error) => error.message.includes("/dev/net/tun"),
    exitCode: ExitCode.privilege,
    advice: "load the tun module and give this process /dev/net/tun and CAP_NET_ADMIN",
  },
  {
    applies: ({ code }) => code === "EPERM" || code === "EACCES",
    exitCode: ExitCode.privilege,
    advice: "run lodend as root, or with CAP_NET_ADMIN",
  },
  {
    applies: ({ code }) => code === "ERR_NOT_SUPPORTED",
    exitCode: ExitCode.privilege,
    advice: "use a kernel that has it",
  },
  {
    applies: ({ code, syscall }) => code === "EADDRINUSE" && syscall === "bind",
    exitCode: ExitCode.host,
    advice: "stop the other program, or give the network another Backend.Port",
  },
  {
    applies: ({ code }) => code === "EADDRINUSE" || code === "EADDRNOTAVAIL",
    exitCode: ExitCode.host,
    advice: "choose another address or port",
  },
  {
    applies: ({ code }) => code === "ERR_STATE_APPLY",
    exitCode: ExitCode.host,
    advice: "remove the other route, or give the overlay another Network",
  },
  {
    applies: ({ code }) => code === "ERR_SUBNET_EXHAUSTED",
    exitCode: ExitCode.exhausted,
    advice: "give the network more subnets, or release leases that nobody uses",
  },
];

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/\s*\n\s*/g, " ");
}
