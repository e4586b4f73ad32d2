/** The codes with which `lodend` exits. */
export const ExitCode = {
  stopped: 0,
  failed: 1,
  usage: 2,
  config: 3,
  store: 4,
  privilege: 5,
  host: 6,
  exhausted: 7,
  subnetChanged: 8,
  control: 9,
} as const;

/** One of {@link ExitCode}. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What each code means, in order; the README's table is made from it. */
export const exitCodeMeanings: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [ExitCode.stopped, "stopped as it was told to, or the command did what it was asked for"],
  [ExitCode.failed, "an unexpected failure; `status`: the host is not ready"],
  [ExitCode.usage, "a flag or an environment variable is wrong"],
  [ExitCode.config, "the network's configuration is wrong, or asks for what this version cannot do"],
  [ExitCode.store, "the lease store cannot be reached within `--store-wait`, or refuses the user"],
  [ExitCode.privilege, "a privilege, `/dev/net/tun` or a feature of the kernel is missing"],
  [
    ExitCode.host,
    "something on this host is in the way: no fitting interface, a taken UDP port, another program's route, a subnet file that cannot be written",
  ],
  [ExitCode.exhausted, "the network has no free subnet"],
  [ExitCode.subnetChanged, "the host has another subnet than before, and `--on-subnet-change=exit` is set"],
  [
    ExitCode.control,
    "another `lodend` of that name runs already; `status`: none runs; `cleanup`: one still runs",
  ],
];
