/** The Docker engine, by its command line: whatever that is configured to reach (a socket, a context) is used. */
import type { PerFamily } from '../../model/cidr.ts';
import { UserError } from '../../model/errors.ts';
import { type Command, CommandError, type CommandOptions, runCommand } from '../../system/commands.ts';
import type { Taken } from './ranges.ts';

export const docker = (words: readonly string[], options?: CommandOptions): Promise<string> =>
  runCommand(['docker', ...words], options);

/** How a command is run in a container; `-i` hands standard input through. */
export const insideContainer = (container: string, command: Command): Command => [
  'docker',
  'exec',
  '-i',
  container,
  ...command,
];

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** Subnets of all networks of the engine. */
export async function networkSubnets(): Promise<Taken[]> {
  const ids = lines(await docker(['network', 'ls', '--quiet', '--no-trunc']));
  if (ids.length === 0) return [];
  const shown = await docker([
    'network',
    'inspect',
    '--format',
    '{{.Name}} {{json .IPAM.Config}}',
    ...ids,
  ]).catch((error: unknown) => {
    // One that went away meanwhile is no error; what was found of the others is printed all the same.
    if (error instanceof CommandError && /not found/i.test(error.output)) return error.output;
    throw error;
  });
  return parseNetworks(shown);
}

export function parseNetworks(shown: string): Taken[] {
  return lines(shown).flatMap((line) => {
    const match = /^(\S+) (\[.*\])$/.exec(line);
    if (!match) return [];
    const configs = JSON.parse(match[2] as string) as { Subnet?: string }[];
    return configs.flatMap(({ Subnet }) =>
      Subnet ? [{ range: Subnet, by: `the Docker network ${match[1]}` }] : [],
    );
  });
}

/** Destinations that this machine's own routes lead to, but for the default. */
export async function hostRoutes(): Promise<Taken[]> {
  const shown = await Promise.all(
    ['-4', '-6'].map((family) => runCommand(['ip', '-json', family, 'route', 'show']).catch(() => '[]')),
  );
  return shown.flatMap(parseHostRoutes);
}

export function parseHostRoutes(shown: string): Taken[] {
  const routes = JSON.parse(shown || '[]') as { dst?: string; dev?: string }[];
  return routes.flatMap(({ dst, dev }) => {
    if (dst === undefined || dst === 'default') return [];
    const bits = dst.includes(':') ? 128 : 32;
    return [
      { range: dst.includes('/') ? dst : `${dst}/${bits}`, by: `a route of this machine by ${dev ?? '?'}` },
    ];
  });
}

/**
 * A bridge without masquerading where it leads nowhere else. Every gateway and every node of a run is told its way by
 * routes of its own, so the bridge only has to carry frames.
 */
export async function createNetwork(
  name: string,
  subnets: PerFamily<string>,
  options: { readonly labels: readonly string[]; readonly outside: boolean },
): Promise<void> {
  await docker([
    'network',
    'create',
    '--driver=bridge',
    `--opt=com.docker.network.bridge.enable_ip_masquerade=${options.outside}`,
    ...(subnets.ipv6 === undefined ? [] : ['--ipv6']),
    ...Object.values(subnets).map((subnet) => `--subnet=${subnet}`),
    ...options.labels.map((label) => `--label=${label}`),
    name,
  ]);
}

export interface ImageFacts {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `name@sha256:…`, as its registry knows it; none for one that was built here. */
  readonly digest?: string;
}

/** What the engine knows of an image; undefined when it has none of that name. */
export async function inspectImage(name: string): Promise<ImageFacts | undefined> {
  try {
    const shown = await docker(['image', 'inspect', name]);
    const [image] = JSON.parse(shown) as {
      Id: string;
      RepoDigests?: string[];
      Config?: { Labels?: Record<string, string> | null };
    }[];
    if (!image) return undefined;
    const digest = image.RepoDigests?.[0];
    return { id: image.Id, labels: image.Config?.Labels ?? {}, ...(digest !== undefined && { digest }) };
  } catch (error) {
    if (error instanceof CommandError && /no such image/i.test(error.output)) return undefined;
    throw error;
  }
}

export interface Engine {
  readonly version: string;
  readonly rootFolder: string;
  /** Whether it runs on this machine, so that what the machine has is what the engine has. */
  readonly local: boolean;
}

/** @throws UserError when no engine answers */
export async function inspectEngine(): Promise<Engine> {
  try {
    const [shown, endpoint] = await Promise.all([
      docker(['info', '--format', '{{json .}}']),
      docker(['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}']).catch(() => 'unix://'),
    ]);
    const { ServerVersion, DockerRootDir } = JSON.parse(shown) as {
      ServerVersion?: string;
      DockerRootDir?: string;
    };
    if (!ServerVersion) throw new Error('the client is there, and no engine behind it');
    return {
      version: ServerVersion,
      rootFolder: DockerRootDir ?? '/var/lib/docker',
      local: endpoint.trim().startsWith('unix:') || endpoint.trim() === '',
    };
  } catch (error) {
    const missing = error instanceof CommandError && error.notFound;
    throw new UserError(missing ? 'docker is not installed' : 'no Docker engine answers', {
      where: 'this machine',
      remedy: missing
        ? 'Install Docker (`docker-ce` of docker.com, or `docker.io` and `docker-cli`)'
        : 'Start it (`systemctl start docker`), and see that `docker info` answers for this user',
      cause: error,
    });
  }
}
