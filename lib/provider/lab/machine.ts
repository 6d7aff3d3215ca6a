/** What the lab needs of the machine, and what is there. */
import type { MachineProblem, Requirements } from '../../model/cluster.ts';
import { type Command, runCommand } from '../../system/commands.ts';

/** Programs the lab uses, with the Debian package each comes in. */
export const TOOL_PACKAGES = {
  ip: 'iproute2',
  ss: 'iproute2',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  nft: 'nftables',
  tcpdump: 'tcpdump',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  tracepath: 'iputils-tracepath',
  dnsmasq: 'dnsmasq-base',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
} as const satisfies Readonly<Record<string, string>>;

type Tool = keyof typeof TOOL_PACKAGES;
/** Only some underlays need these; they ask for the package. */
const UNDERLAY_TOOLS: ReadonlySet<Tool> = new Set(['wg', 'wireguard-go']);
/** Folders of programs for administrators, which `su` without `-` leaves out of the PATH. */
const ADMINISTRATOR_FOLDERS = ['/usr/sbin', '/sbin'];

/** Each line tries one ability of the kernel and prints its name when it is missing; run in a namespace that ends with it. */
const KERNEL_TRIALS = {
  'bridges (CONFIG_BRIDGE)': 'ip link add trial0 type bridge',
  'veth interfaces (CONFIG_VETH)': 'ip link add trial1 type veth peer name trial2',
  'nftables with connection tracking (CONFIG_NF_TABLES_INET, CONFIG_NFT_CT)':
    "nft 'add table inet t; add chain inet t f { type filter hook forward priority 0; }; add rule inet t f ct state established accept'",
  'nftables address translation (CONFIG_NFT_NAT)':
    "nft 'add table inet n; add chain inet n p { type nat hook prerouting priority -100; }'",
  'nftables for bridges (CONFIG_NF_TABLES_BRIDGE)': 'nft add table bridge t',
} as const;

/** Everything wrong with this machine. Creates nothing but short-lived processes in namespaces of their own. */
export async function checkMachine(requirements: Requirements): Promise<readonly MachineProblem[]> {
  const asRoot = process.getuid?.() === 0;
  const found = await findTools(wantedTools(requirements));
  const canTry = asRoot && (['ip', 'nft', 'unshare'] as const).every((tool) => found.get(tool) === 'on PATH');
  const userSpace =
    requirements.hostPackages.includes(TOOL_PACKAGES['wireguard-go']) &&
    !(canTry && (await kernelHasWireguard()));
  if (!userSpace) found.delete('wireguard-go');
  return [
    ...(asRoot ? [] : [NOT_ROOT]),
    ...toolProblems(found),
    ...(canTry ? await kernelProblems() : []),
    ...(userSpace && asRoot && !(await succeeds(['sh', '-c', ': <> /dev/net/tun'])) ? [NO_TUN] : []),
  ];
}

const NOT_ROOT: MachineProblem = {
  what: 'the lab makes network namespaces, which only root may',
  remedy: 'run the same command as root, for example with sudo',
};
const NO_TUN: MachineProblem = {
  what: 'wireguard-go needs /dev/net/tun, which cannot be opened',
  remedy: 'load the module (`modprobe tun`), or give the container `--device /dev/net/tun`',
};

const TOOLS = Object.keys(TOOL_PACKAGES) as Tool[];

const succeeds = (command: Command): Promise<boolean> =>
  runCommand(command).then(
    () => true,
    () => false,
  );

/** Tried in a namespace that goes with the process, so that nothing of it is seen outside. */
const kernelHasWireguard = (): Promise<boolean> =>
  succeeds(['unshare', '--net', 'ip', 'link', 'add', 'trial', 'type', 'wireguard']);

function wantedTools({ hostPackages }: Requirements): Tool[] {
  return TOOLS.filter((tool) => !UNDERLAY_TOOLS.has(tool) || hostPackages.includes(TOOL_PACKAGES[tool]));
}

type Place = 'on PATH' | 'elsewhere' | 'missing';

async function findTools(tools: readonly Tool[]): Promise<Map<Tool, Place>> {
  const lookup = `for tool; do
    if command -v "$tool" > /dev/null; then echo "on PATH"
    elif PATH=${ADMINISTRATOR_FOLDERS.join(':')} command -v "$tool" > /dev/null; then echo elsewhere
    else echo missing; fi
  done`;
  const places = (await runCommand(['sh', '-c', lookup, 'sh', ...tools])).trim().split('\n');
  return new Map(tools.map((tool, index) => [tool, places[index] as Place]));
}

function toolProblems(found: ReadonlyMap<Tool, Place>): MachineProblem[] {
  const inPlace = (place: Place): Tool[] =>
    [...found].filter(([, where]) => where === place).map(([tool]) => tool);
  const packages = [...new Set(inPlace('missing').map((tool) => TOOL_PACKAGES[tool]))];
  const problems: MachineProblem[] = packages.map((name) => ({
    what: `${inPlace('missing')
      .filter((tool) => TOOL_PACKAGES[tool] === name)
      .join(' and ')} is not installed`,
    remedy: `apt-get install --yes --no-install-recommends ${name}`,
    packages: [name],
  }));
  const hidden = inPlace('elsewhere');
  if (hidden.length > 0) {
    problems.push({
      what: `${hidden.join(', ')} is installed but not on the PATH`,
      remedy: `export PATH="$PATH:${ADMINISTRATOR_FOLDERS.join(':')}"`,
    });
  }
  return problems;
}

async function kernelProblems(): Promise<MachineProblem[]> {
  if (!(await succeeds(['unshare', '--net', 'true']))) {
    return [
      {
        what: 'network namespaces cannot be made here',
        remedy: 'needs CAP_SYS_ADMIN and CAP_NET_ADMIN: in a container, run it with `--privileged`',
      },
    ];
  }
  const trials = Object.entries(KERNEL_TRIALS)
    .map(([name, trial]) => `${trial} 2> /dev/null || echo '${name}'`)
    .join('\n');
  const missing = (await runCommand(['unshare', '--net', 'sh', '-s'], { input: trials })).trim();
  return missing === ''
    ? []
    : missing.split('\n').map((name) => ({
        what: `the kernel has no ${name}`,
        remedy: 'load the module, or use a kernel that has it (every Debian kernel does)',
      }));
}

/** Where each version is printed: first group of the first match. */
const VERSION_QUESTIONS: Readonly<Record<string, readonly [Command, RegExp]>> = {
  kernel: [['uname', '-r'], /(\S+)/],
  iproute2: [['ip', '-V'], /iproute2-([^,\s]+)/],
  nftables: [['nft', '--version'], /v(\S+)/],
  tcpdump: [['tcpdump', '--version'], /tcpdump version (\S+)/],
  iperf3: [['iperf3', '--version'], /iperf (\S+)/],
  dnsmasq: [['dnsmasq', '--version'], /version (\S+)/],
};

/** Versions as the programs themselves give them; those that are missing are left out. */
export async function observeVersions(): Promise<Readonly<Record<string, string>>> {
  const answers = await Promise.all(
    Object.entries(VERSION_QUESTIONS).map(async ([name, [command, pattern]]) => {
      const text = await runCommand(command).catch(() => '');
      return [name, pattern.exec(text)?.[1]] as const;
    }),
  );
  return Object.fromEntries(answers.filter((answer): answer is readonly [string, string] => !!answer[1]));
}
