/** Profiles by name. */
import type { Profile } from '../model/cluster.ts';
import { UserError } from '../model/errors.ts';
import type { KernelChoice, RunSpec } from '../model/spec.ts';
import { createCilium } from './cilium/index.ts';
import { type CiliumOptions, kernelChoices as ciliumKernelChoices } from './cilium/options.ts';
import { createConsul } from './consul/index.ts';
import type { ConsulOptions } from './consul/options.ts';
import { createIstio } from './istio/index.ts';
import { ISTIO_TOPOLOGIES, type IstioOptions } from './istio/options.ts';
import { none } from './none/index.ts';
import { WAYS } from './topologies.ts';

/** What of a run's specification concerns one profile or another. */
export type ProfileOptions = IstioOptions & CiliumOptions & ConsulOptions;

const CREATE_ALONE = {
  none: () => ({ ...none }),
  istio: createIstio,
  cilium: createCilium,
  consul: createConsul,
} as const satisfies Readonly<Record<keyof typeof WAYS, (options: ProfileOptions) => Profile>>;

/** Each with what the one table says of topologies. */
const CREATE: Readonly<Record<string, (options: ProfileOptions) => Profile>> = Object.fromEntries(
  Object.entries(CREATE_ALONE).map(([name, create]) => [
    name,
    // Not a copy: some of it changes once clusters have been looked at.
    (options: ProfileOptions): Profile =>
      Object.assign(create(options), { ways: WAYS[name as keyof typeof WAYS] }),
  ]),
);

const DEFAULTS: ProfileOptions = {
  istioTopology: 'multi-primary',
  ciliumSharing: 'global-service',
  ciliumRouting: 'native',
  ciliumKubeProxy: 'kept',
  ciliumEncryption: 'none',
  consulGateways: 'local',
  tuning: 'as-configured',
  provider: 'kind',
  images: {},
  versions: {},
  tools: {},
  charts: {},
  topology: { kind: 'full-mesh', members: [], hub: '' },
  families: ['ipv4'],
  kubernetes: {},
};

const KERNEL_CHOICES: Readonly<Record<string, (options: ProfileOptions) => readonly KernelChoice[]>> = {
  cilium: ciliumKernelChoices,
};

/** What of the options of this profile the kernel has to be asked for, before anything is made. */
export const kernelChoicesOf = (name: string, options: ProfileOptions): readonly KernelChoice[] =>
  (Object.hasOwn(KERNEL_CHOICES, name) && KERNEL_CHOICES[name]?.(options)) || [];

/** Each as it is when nothing is said. */
export const defaultProfiles = (): readonly Profile[] =>
  Object.values(CREATE).map((create) => create(DEFAULTS));

/** What a technology that exists may turn out to be: each profile that recognises one, in each of its shapes. */
export function recognisable(
  options: ProfileOptions,
): readonly { readonly chosen: Pick<RunSpec, 'profile' | 'istioTopology'>; readonly profile: Profile }[] {
  const { istioTopology } = options;
  const shapes = [istioTopology, ...ISTIO_TOPOLOGIES.filter((other) => other !== istioTopology)];
  return Object.entries(CREATE).flatMap(([name, create]) =>
    (name === 'istio' ? shapes : [istioTopology])
      .map((shape) => ({
        chosen: { profile: name, istioTopology: shape },
        profile: create({ ...options, istioTopology: shape }),
      }))
      .filter(({ profile }) => profile.adopt !== undefined),
  );
}

/** @throws UserError naming the known ones */
export function profileNamed(name: string, options: ProfileOptions = DEFAULTS): Profile {
  const create = Object.hasOwn(CREATE, name) ? CREATE[name] : undefined;
  if (create) return create(options);
  throw new UserError(`There is no profile "${name}"`, {
    where: '--profile',
    remedy: `Known profiles: ${Object.keys(CREATE).join(', ')}`,
  });
}
