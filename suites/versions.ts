import { type Suite, defineCheck } from '../lib/model/check.ts';
import { SERVICE_CLASSES, type Component } from '../lib/model/cluster.ts';
import { failed, inconclusive, passed, skipped } from '../lib/model/verdict.ts';

interface Minor {
  readonly major: number;
  readonly minor: number;
}

/** `v1.34.4`, `1.31.0-dev`, `1.31`; undefined for what is no version. */
export function minorOf(version: string): Minor | undefined {
  const [, major, minor] = /^v?(\d+)\.(\d+)(?:[.+-]|$)/.exec(version.trim()) ?? [];
  return major === undefined || minor === undefined
    ? undefined
    : { major: Number(major), minor: Number(minor) };
}

const shown = ({ cluster, kind, name, version }: Component): string =>
  `${cluster} ${kind} ${name} ${version}`;

/** How many minor versions lie between; a major version counts as far away. */
const distance = (a: Minor, b: Minor): number => (a.major - b.major) * 1_000 + (a.minor - b.minor);

export const skew = defineCheck({
  id: 'versions.skew',
  title: 'Control planes, proxies and Kubernetes lie no further apart than is supported',
  level: 'core',
  scope: 'fleet',
  familyless: true,
  classes: SERVICE_CLASSES,
  requires: ['endpoint-discovery'],
  withoutFaults: 'It would take another version of a control plane; the judge is shown some in its own tests',
  hint: 'Upgrade one minor version at a time: control planes first, then proxies by restarting their workloads',
  reference: 'https://kubernetes.io/releases/version-skew-policy/',

  observe: async ({ components }) => ({ found: (await components()) ?? null }),

  judge({ found }) {
    if (!found) return skipped('the technology on top says nothing of its versions');
    const { components, supported } = found;
    const known = components.flatMap((component) => {
      const minor = minorOf(component.version);
      return minor ? [{ component, minor }] : [];
    });
    const silent = components.find((component) => minorOf(component.version) === undefined);
    const planes = known.filter(({ component }) => component.kind === 'control plane');
    if (planes.length === 0 || silent) {
      return inconclusive(
        'probe-failed',
        silent ? `This is no version: ${shown(silent)}` : 'No control plane says which version it is',
      );
    }
    const refuse = (reason: string, expected: string, seen: readonly Component[]) =>
      failed('version-skew', reason, { expected, seen: seen.map(shown).join('; ') });

    const sorted = planes.toSorted((a, b) => distance(a.minor, b.minor));
    const [oldest, newest] = [sorted[0], sorted.at(-1)] as [(typeof sorted)[number], (typeof sorted)[number]];
    if (distance(newest.minor, oldest.minor) > supported.betweenControlPlanes) {
      return refuse(
        'Control planes lie too far apart',
        `at most ${supported.betweenControlPlanes} minor version between them (${supported.reference})`,
        [oldest.component, newest.component],
      );
    }
    for (const { component, minor } of known.filter((one) => one.component.kind === 'proxy')) {
      const own = planes.find((plane) => plane.component.cluster === component.cluster) ?? newest;
      const behind = distance(own.minor, minor);
      if (behind > supported.proxyBehind || behind < 0) {
        return refuse(
          behind < 0
            ? 'A proxy is newer than its control plane'
            : 'A proxy is too far behind its control plane',
          `at most ${supported.proxyBehind} minor version behind, never ahead (${supported.reference})`,
          [component, own.component],
        );
      }
    }
    for (const { component, minor } of known.filter((one) => one.component.kind === 'kubernetes')) {
      const own = planes.find((plane) => plane.component.cluster === component.cluster) ?? newest;
      const range = supported.kubernetes[`${own.minor.major}.${own.minor.minor}`]?.map(minorOf);
      const [least, most] = range ?? [];
      if (!least || !most) continue;
      if (distance(minor, least) < 0 || distance(minor, most) > 0) {
        return refuse(
          'This version of Kubernetes is not supported by the control plane',
          `from ${least.major}.${least.minor} to ${most.major}.${most.minor} (${supported.reference})`,
          [component, own.component],
        );
      }
    }
    const proxies = known.filter(({ component }) => component.kind === 'proxy').length;
    return passed(
      `${planes.length} control planes, ${proxies} proxies and Kubernetes within the supported skew`,
    );
  },
});

export const versions: Suite = {
  id: 'versions',
  title: 'Versions fit together',
  checks: [skew],
};
