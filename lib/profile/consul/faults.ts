/** What can be broken in Consul on purpose. How each is mended stands in the ledger before anything is changed. */
import type { FaultInjector, KubernetesCluster, UndoAction } from '../../model/cluster.ts';
import type { Disturbance, FaultSpec } from '../../model/fault.ts';
import { type FaultOf, type Injection, injectorOf, workloadOf } from '../../model/injection.ts';
import { applicable } from '../../model/applicable.ts';
import { prepareRestoring } from '../../model/mending.ts';
import type { WorkloadSpec } from '../../model/workload.ts';
import { randomHex, systemClock } from '../../system/clock.ts';
import { quoteCommand } from '../../system/commands.ts';
import type { Peers } from './clusters.ts';
import type { ConfigEntry } from './entries.ts';
import { type Pair, join, pairsOf, untilJoined } from './install.ts';
import {
  GATEWAY,
  REGISTRAR,
  SERVER,
  SERVER_PORTS,
  SERVICES_ANNOTATION,
  SYSTEM_NAMESPACE,
  servicesOf,
  systemReference,
} from './names.ts';
import type { ConsulOptions } from './options.ts';
import { destinationsOf, governed, letPast, pastRule } from './security.ts';
import { EXPORTED, type Shares, portsOf } from './share.ts';
import { existing, holds, isReady } from '../common/clusters.ts';
import {
  authorityOf,
  authorityRequest,
  includesCertificate,
  isSignedBy,
  rootOf,
  withAnotherRoot,
} from './authority.ts';
import { shownLeaves, trustBundle } from './proxies.ts';
import {
  type Request,
  deleteEntry,
  isActive,
  isJoined,
  peeringsOf,
  podsOf,
  putEntry,
  readEntries,
  tell,
} from './server.ts';
import { removalRequest, tokenRequest } from './tokens.ts';

/** From a change of the server's configuration until proxies of peers have it. */
const PUSH_MS = 2_000;

/** Between reminders of peers: an attempt that is under way begins anew with every one. */
const REMINDER_MS = 2_000;

/** Before the chain that intents change: what a check takes back for itself must not mend the fault. */
const FAULT_CHAIN = 'PREROUTING';

/** In an entry of exports it stands for all services. */
const EVERYTHING = '*';

const requestCommand = ({ method, path, body }: Request): string =>
  quoteCommand([
    ...['curl', '-sS', '--fail', '-m', '10', '-X', method],
    ...(body === undefined ? [] : ['--data-binary', JSON.stringify(body)]),
    `http://127.0.0.1:${SERVER_PORTS.http}${path}`,
  ]);

interface Shell {
  readonly namespace: string;
  readonly target: string;
  readonly container?: string;
  /** Whether it is given what it reads. */
  readonly reads?: boolean;
}

export function consulInjectors(
  peers: Peers,
  shares: Shares,
  { tools }: Pick<ConsulOptions, 'tools'>,
): readonly FaultInjector[] {
  /** A shell command in a container, for another process. */
  const execIn = (
    cluster: KubernetesCluster,
    { namespace, target, container, reads }: Shell,
    script: string,
  ): readonly [string, ...string[]] => [
    tools.kubectl ?? 'kubectl',
    ...['--kubeconfig', cluster.kubeconfig, '--context', cluster.context],
    ...['--namespace', namespace, 'exec', target, ...(reads ? ['--stdin'] : [])],
    ...(container === undefined ? [] : ['--container', container]),
    ...['--', 'sh', '-ec', script],
  ];
  const atServer = (
    cluster: KubernetesCluster,
    script: string,
    more: Pick<Shell, 'reads'> = {},
  ): readonly [string, ...string[]] =>
    execIn(cluster, { namespace: SYSTEM_NAMESPACE, target: `deployment/${SERVER}`, ...more }, script);
  const undoing = (cluster: KubernetesCluster, requests: readonly Request[]): UndoAction => ({
    kind: 'run',
    command: atServer(cluster, requests.map(requestCommand).join('\n')),
  });
  const shellAt = (...at: Parameters<typeof atServer>): string => quoteCommand(atServer(...at));
  /** Joins a pair by a fresh token, for another process. @param before it, in a shell here */
  const joining = ({ acceptor, dialer }: Pair, before: readonly string[]): UndoAction => ({
    kind: 'run',
    command: [
      'sh',
      '-c',
      [
        ...before,
        // What is being deleted cannot be made anew before it is gone, and servers that were stopped have to start.
        'for try in 1 2 3 4 5 6 7 8 9 10; do',
        '  sleep 2',
        `  answer=$(${shellAt(peers.named(acceptor), requestCommand(tokenRequest(dialer)))}) || continue`,
        `  printf '{"PeerName":"%s",%s' ${acceptor} "\${answer#?}" |`,
        `    ${shellAt(
          peers.named(dialer),
          `curl -sS --fail -m 10 -X POST --data-binary @- http://127.0.0.1:${SERVER_PORTS.http}/v1/peering/establish`,
          { reads: true },
        )} && exit 0`,
        'done; exit 1',
      ].join('\n'),
    ],
  });
  const described = (fault: FaultSpec): string => `fault ${JSON.stringify(fault)}`;

  /** What puts back what is exported now. */
  const exportsOf = async (cluster: KubernetesCluster): Promise<Request[]> => {
    const standing = (await readEntries(cluster, EXPORTED.Kind)).map(writable);
    return standing.length > 0 ? standing.map(putEntry) : [deleteEntry(EXPORTED)];
  };

  const notShared = injectorOf(
    'service-not-shared',
    async ({ fault, ledger }) => {
      const cluster = peers.named(fault.cluster);
      const names = (await portsOf(cluster, fault)).map(({ name }) => name);
      await ledger.add({ description: described(fault), undo: undoing(cluster, await exportsOf(cluster)) });
      const shared = shares.in(fault.cluster);
      await shared.change(({ exported }) => names.forEach((name) => exported.delete(name)));
      const isExported = async () => {
        const exported = await shares.exported(fault.cluster);
        return names.some((name) => exported.includes(name));
      };
      return {
        tookHold: async () => {
          if (!(await holds(async () => !(await isExported())))) return false;
          await systemClock.sleep(PUSH_MS);
          return true;
        },
        mend: () => shared.change(({ exported }) => names.forEach((name) => exported.add(name))),
      };
    },
    'cluster',
  );

  const everythingExported = injectorOf(
    'everything-exported',
    async ({ fault, ledger }) => {
      const cluster = peers.named(fault.cluster);
      await ledger.add({ description: described(fault), undo: undoing(cluster, await exportsOf(cluster)) });
      const shared = shares.in(fault.cluster);
      await shared.change(({ exported }) => exported.add(EVERYTHING));
      return {
        tookHold: async () => {
          if (!(await shares.exported(fault.cluster)).includes(EVERYTHING)) return false;
          await systemClock.sleep(PUSH_MS);
          return true;
        },
        mend: () => shared.change(({ exported }) => exported.delete(EVERYTHING)),
      };
    },
    'cluster',
  );

  const peeringDeleted = injectorOf(
    'peering-deleted',
    async ({ fault, ledger }) => {
      const [at, other] = [peers.named(fault.at), peers.named(fault.cluster)];
      const pair = pairsOf(peers).find(({ acceptor, dialer }) =>
        [acceptor, dialer].every((name) => name === fault.at || name === fault.cluster),
      ) ?? { acceptor: fault.at, dialer: fault.cluster };
      const [acceptor, dialer] = [peers.named(pair.acceptor), peers.named(pair.dialer)];
      await ledger.add({
        description: described(fault),
        undo: joining(pair, [
          shellAt(acceptor, requestCommand(removalRequest(pair.dialer))),
          shellAt(dialer, requestCommand(removalRequest(pair.acceptor))),
        ]),
      });
      await tell(at, [removalRequest(fault.cluster)]);
      const known = async (cluster: KubernetesCluster, name: string) =>
        (await peeringsOf(cluster)).some((peering) => peering.Name === name);
      return {
        tookHold: async () => {
          if (!(await holds(async () => !(await known(at, fault.cluster))))) return false;
          await systemClock.sleep(PUSH_MS);
          return true;
        },
        mend: async () => {
          const whole = await Promise.all([isJoined(at, fault.cluster), isJoined(other, fault.at)]);
          if (whole.every(Boolean)) return;
          await tell(acceptor, [removalRequest(pair.dialer)]);
          await tell(dialer, [removalRequest(pair.acceptor)]);
          await holds(
            async () => !(await known(acceptor, pair.dialer)) && !(await known(dialer, pair.acceptor)),
          );
          await join(peers, pair);
          await untilJoined(acceptor, [pair.dialer]);
          await untilJoined(dialer, [pair.acceptor]);
        },
      };
    },
    'cluster',
  );

  const runs = async (cluster: KubernetesCluster): Promise<boolean> =>
    (await Promise.all([SERVER, GATEWAY].map((app) => podsOf(cluster, app)))).every((pods) =>
      pods.some(isReady),
    );

  /** With all peers but those that are without server or gateway themselves, which another fault may have taken. */
  const isJoinedAgain = async (cluster: KubernetesCluster): Promise<boolean> => {
    if (!(await runs(cluster))) return true;
    const peerings = await peeringsOf(cluster);
    const joined = await Promise.all(
      peers
        .of(cluster.name)
        .map(
          async (name) =>
            peerings.some((peering) => peering.Name === name && isActive(peering)) ||
            !(await runs(peers.named(name))),
        ),
    );
    return joined.every(Boolean);
  };

  /**
   * A server looks anew for every peer that it has lost when one is added or removed (syncPeeringsAndBlock in
   * agent/consul/leader_peering.go), which one that was never used brings about.
   */
  const remindOfPeers = async (cluster: KubernetesCluster): Promise<void> => {
    const unused = `reminder-${randomHex(4)}`;
    await tell(cluster, [tokenRequest(unused), removalRequest(unused)]);
  };

  /** Servers that have lost each other wait 2, 4, 8 … s before they try again, unless somebody reminds them. */
  const rejoin = async (cluster: KubernetesCluster): Promise<void> => {
    const dialers = pairsOf(peers)
      .filter(({ acceptor, dialer }) => [acceptor, dialer].includes(cluster.name))
      .map(({ dialer }) => peers.named(dialer));
    let remindedAt = Number.NEGATIVE_INFINITY;
    await holds(async () => {
      if (await isJoinedAgain(cluster).catch(() => false)) return true;
      const now = systemClock.monotonic();
      if (now - remindedAt < REMINDER_MS) return false;
      remindedAt = now;
      await Promise.allSettled([...new Set(dialers)].map(remindOfPeers));
      return false;
    });
  };

  /** A deployment of Consul's own, without pods. */
  async function stopped(
    app: string,
    cluster: KubernetesCluster,
    { fault, ledger }: Pick<Injection, 'fault' | 'ledger'>,
  ): Promise<Disturbance> {
    const before = await existing(cluster, systemReference('apps/v1', 'Deployment', app));
    const restore = await prepareRestoring(cluster, fault, { before: [before] }, ledger);
    // As a whole: what is not said again is taken back.
    const whole = applicable(before);
    await cluster.objects.apply([{ ...whole, spec: { ...(whole['spec'] as object), replicas: 0 } }]);
    return {
      tookHold: () => holds(async () => (await podsOf(cluster, app)).length === 0),
      mend: async () => {
        await restore();
        await holds(async () => (await podsOf(cluster, app)).some(isReady));
      },
    };
  }

  const stop =
    (app: string) =>
    async (
      injection: Injection<FaultOf<'control-plane-stopped' | 'gateway-stopped'>>,
    ): Promise<Disturbance> => {
      const cluster = peers.named(injection.fault.cluster);
      const down = await stopped(app, cluster, injection);
      return {
        tookHold: () => down.tookHold(),
        mend: () => down.mend(),
        settle: () => rejoin(cluster),
      };
    };

  const clearText = injectorOf('clear-text-accepted', async ({ fault, ledger }) => {
    const cluster = peers.named(fault.cluster);
    const workloads = governed(cluster, { namespace: fault.namespace, target: {} });
    const rule = pastRule(FAULT_CHAIN);
    for (const { spec } of workloads) {
      const place = {
        namespace: cluster.namespaceOf(spec.namespace),
        target: spec.name,
        container: REGISTRAR,
      };
      await ledger.add({
        description: `${described(fault)}, ${spec.name}`,
        undo: { kind: 'run', command: execIn(cluster, place, `iptables -w -t nat -D ${rule} || true`) },
      });
    }
    const letAll = (open: boolean) =>
      Promise.all(workloads.map((workload) => letPast(cluster, workload, open, FAULT_CHAIN)));
    await letAll(true);
    return {
      tookHold: async () => workloads.length > 0,
      mend: async () => void (await letAll(false)),
    };
  });

  const policyMissing = injectorOf('identity-policy-missing', async ({ fault, ledger }) => {
    const cluster = peers.named(fault.cluster);
    const standing = async (): Promise<ConfigEntry[]> => {
      const destinations = destinationsOf(cluster, { namespace: fault.namespace, target: {} });
      return (await readEntries(cluster, 'service-intentions')).filter(({ Name }) =>
        destinations.includes(Name),
      );
    };
    const policies = await standing();
    await ledger.add({
      description: described(fault),
      undo: undoing(cluster, policies.map(writable).map(putEntry)),
    });
    await tell(cluster, policies.map(deleteEntry));
    return {
      tookHold: async () => {
        if (policies.length === 0 || (await standing()).length > 0) return false;
        await systemClock.sleep(PUSH_MS);
        return true;
      },
      mend: async () => void (await tell(cluster, policies.map(writable).map(putEntry))),
    };
  });

  // A pod of the run: nothing outlasts it that would have to be noted.
  const proxyMissing = injectorOf('proxy-missing', async ({ fault }) => {
    const cluster = peers.named(fault.cluster);
    const { spec } = workloadOf(cluster, fault.workload);
    const startAnew = async (wanted: WorkloadSpec): Promise<void> => {
      await cluster.stopWorkload(workloadOf(cluster, fault.workload));
      await cluster.startWorkload(wanted);
    };
    const { companions: _, annotations: { [SERVICES_ANNOTATION]: __, ...annotations } = {}, ...bare } = spec;
    await startAnew({ ...bare, annotations });
    let mended = false;
    return {
      tookHold: async () => servicesOf(workloadOf(cluster, fault.workload).spec).length === 0,
      mend: async () => {
        if (mended) return;
        await startAnew(spec);
        mended = true;
      },
    };
  });

  /**
   * Servers tell their peers of another root at once, and a root that is changed is vouched for by the one before: a
   * stranger it is only to who hears of nothing, when nobody vouches for it.
   */
  const foreignRoot = injectorOf(
    'foreign-root',
    async (injection) => {
      const { fault, ledger } = injection;
      const cluster = peers.named(fault.cluster);
      const others = peers.of(fault.cluster).map((name) => peers.named(name));
      const pairs = pairsOf(peers).filter(({ acceptor, dialer }) =>
        [acceptor, dialer].includes(fault.cluster),
      );
      const authority = await authorityOf(cluster);
      // Whoever dials trusts the root that stood in the token.
      for (const pair of pairs) {
        await ledger.add({
          description: `${described(fault)}, ${pair.acceptor} and ${pair.dialer}`,
          undo: joining(pair, [shellAt(cluster, requestCommand(authorityRequest(authority)))]),
        });
      }
      const servers = await Promise.all(others.map((other) => stopped(SERVER, other, injection)));
      const stand = (await Promise.all(servers.map((server) => server.tookHold()))).every(Boolean);
      await tell(cluster, [authorityRequest(withAnotherRoot(authority), true)]);
      const root = await rootOf(cluster);
      const proxied = (at: KubernetesCluster) =>
        at.workloads.filter(({ spec }) => servicesOf(spec).length > 0);
      const isKnownTo = async (other: KubernetesCluster, pem: string): Promise<boolean> => {
        const bundles = await Promise.all(
          proxied(other)
            .filter(({ spec }) => !spec.answersOnly)
            .map((caller) => trustBundle(caller, other)),
        );
        return bundles.every((bundle) => includesCertificate(bundle, pem));
      };
      let mended = false;
      return {
        tookHold: async () => {
          if (!stand || root === undefined) return false;
          const isShown = async () => {
            const shown = await Promise.all(
              proxied(cluster).map((workload) => shownLeaves(workload, cluster)),
            );
            return shown.every(
              (leaves) => leaves.length > 0 && leaves.every((leaf) => isSignedBy(leaf, root)),
            );
          };
          return await holds(isShown);
        },
        mend: async () => {
          if (mended) return;
          await Promise.all(servers.map((server) => server.mend()));
          await tell(cluster, [authorityRequest(authority)]);
          for (const pair of pairs) await join(peers, pair);
          await holds(() => isJoinedAgain(cluster).catch(() => false));
          const current = await rootOf(cluster);
          await holds(
            async () =>
              current === undefined ||
              (await Promise.all(others.map((other) => isKnownTo(other, current)))).every(Boolean),
          );
          mended = true;
        },
      };
    },
    'cluster',
  );

  return [
    foreignRoot,
    notShared,
    everythingExported,
    peeringDeleted,
    injectorOf('control-plane-stopped', stop(SERVER), 'cluster'),
    injectorOf('gateway-stopped', stop(GATEWAY), 'cluster'),
    clearText,
    policyMissing,
    proxyMissing,
  ];
}

/** An entry as it was read, without what only the server may say of it. Pure. */
export function writable(entry: ConfigEntry): ConfigEntry {
  const { CreateIndex: _, ModifyIndex: __, Sources, ...rest } = entry;
  if (!Array.isArray(Sources)) return rest;
  return {
    ...rest,
    Sources: (Sources as readonly Record<string, unknown>[]).map(
      ({ Precedence: _precedence, Type: _type, ...source }) => source,
    ),
  };
}
