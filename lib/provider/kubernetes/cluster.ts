import type { ClusterRanges } from '../../model/addressing.ts';
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type {
  Gateway,
  KubernetesCluster,
  KubernetesNode,
  KubernetesObject,
  Ledger,
  ObjectReference,
  PolicyKind,
  Workload,
} from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { Probe, ProbeTransport } from '../../model/probe.ts';
import type { ContainerReading } from '../../model/usage.ts';
import type { Figures } from '../../model/verdict.ts';
import { type ServiceSpec, type SharedAddress, type WorkloadSpec, keyOf } from '../../model/workload.ts';
import { quoteCommand } from '../../system/commands.ts';
import { KubernetesClient } from '../../system/kubernetes/client.ts';
import { BRIDGE_HEARTBEAT, agentBridge } from '../agentBridge.ts';
import { Arrivals } from './arrivals.ts';
import { diagnoseCluster } from './diagnose.ts';
import { inCluster } from './errors.ts';
import { AGENT_CONTAINER, AGENT_SOCKET, LABELS, namespaceName, runSelector, specOf } from './names.ts';
import { addressesOf as nodeAddressesOf, podRangesOf, takesPods } from './nodes.ts';
import { ClusterObjects } from './objects.ts';
import { addressesOf, isLeaving, nodeOf } from './podState.ts';
import { readingsOf } from './readings.ts';
import { type PodSettings, namespaceOf, podOf, serviceAccountObject } from './pods.ts';
import { NETWORK_POLICY, type PolicyPlace } from './policy.ts';
import { DEFAULT_DOMAIN, type Resolver, parseResolver } from './resolver.ts';
import { clusterIpsOf, fixedSlices, serviceOf } from './services.ts';
import { StartedBackends } from './startedBackends.ts';

/** Everything about one cluster that whoever made or found it knows. */
export interface KubernetesClusterOptions extends Omit<PodSettings, 'cluster'> {
  readonly name: string;
  readonly ranges: ClusterRanges;
  readonly families: readonly IpFamily[];
  /** Ranges of all clusters of the fleet, this one included. */
  readonly fleetRanges: Readonly<Record<string, ClusterRanges>>;
  /** File with this cluster's credentials only (mode 0600). */
  readonly kubeconfig: string;
  readonly context: string;
  /** URL of the API server as pods of other clusters reach it. */
  readonly apiServer: string;
  /** Whether this program made it, and its deletion takes everything along. */
  readonly own: boolean;
  readonly gateway: Gateway;
  /** What policies are made of besides NetworkPolicy. */
  readonly policyKinds: readonly PolicyKind[];
  /** Before the names of namespaces. */
  readonly namespacePrefix?: string;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
  readonly connectProbe: (agent: ProbeTransport) => Probe;
}

type ServiceKey = { readonly namespace: string; readonly name: string };

interface ServiceEntry {
  readonly spec: ServiceSpec;
  readonly addresses: PerFamily<string>;
}

/** A cluster through its API server. Nothing is asked of it before the first method is called. */
export class KubernetesClusterHandle implements KubernetesCluster {
  readonly kind = 'kubernetes';
  readonly name: string;
  readonly ranges: ClusterRanges;
  readonly gateway: Gateway;
  readonly own: boolean;
  readonly kubeconfig: string;
  readonly context: string;
  readonly apiServer: string;
  readonly objects: ClusterObjects;
  readonly client: KubernetesClient;
  readonly #options: KubernetesClusterOptions;
  readonly #settings: PodSettings;
  readonly #arrivals: Arrivals;
  readonly #backends: StartedBackends;
  readonly #running = new Map<string, Workload>();
  readonly #services = new Map<string, ServiceEntry>();
  /** What is made once however many ask for it, by name. */
  readonly #made = new Map<string, Promise<void>>();
  #resolver: Promise<Resolver> | undefined;
  #resolved: Resolver | undefined;

  constructor(options: KubernetesClusterOptions) {
    this.#options = options;
    this.#settings = { ...options, cluster: options.name };
    this.name = options.name;
    this.ranges = options.ranges;
    this.gateway = options.gateway;
    this.own = options.own;
    this.kubeconfig = options.kubeconfig;
    this.context = options.context;
    this.apiServer = options.apiServer;
    const { kubeconfig, context, signal } = options;
    this.client = new KubernetesClient({ kubeconfig, context, signal });
    this.objects = new ClusterObjects(options.name, options.run, this.client);
    this.#arrivals = new Arrivals(options.name, options.run, this.objects);
    this.#backends = new StartedBackends(options.families, (objects) => this.objects.apply(objects));
  }

  get workloads(): readonly Workload[] {
    return [...this.#running].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, workload]) => workload);
  }

  get dns(): PerFamily<string> {
    return this.#resolved?.servers ?? {};
  }

  async startWorkload(spec: WorkloadSpec, giveUp?: AbortSignal): Promise<Workload> {
    const namespace = await this.ensureNamespace(spec.namespace);
    const account = serviceAccountObject(spec, namespace);
    await this.#once(`account ${namespace}/${account.metadata.name}`, () => this.objects.apply([account]));
    const pod = podOf(spec, namespace, this.#settings);
    await this.#create(pod);
    const { pod: arrived, waited } = await this.#arrivals.ready(pod, giveUp);
    const workload = { ...this.#workload(spec, arrived), ...(waited !== undefined && { waited }) };
    await this.#resolve(arrived);
    this.#running.set(keyOf(spec), workload);
    return workload;
  }

  async stopWorkload({ spec }: Pick<Workload, 'spec'>): Promise<void> {
    const pod = this.#podReference(spec);
    await this.objects.deleteOne(pod);
    await this.#arrivals.gone(pod);
    this.#running.delete(keyOf(spec));
    await this.#backends.forget({ spec });
  }

  #podReference(spec: Pick<WorkloadSpec, 'namespace' | 'name'>): ObjectReference {
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: spec.name, namespace: this.namespaceOf(spec.namespace) },
    };
  }

  /** Admission policies and quotas speak when the pod is made. */
  async #create(pod: KubernetesObject): Promise<void> {
    try {
      await this.objects.apply([pod]);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const remedy = /violates PodSecurity/.test(error.message)
        ? 'Its namespaces need another Pod Security level here: ask whoever runs the cluster for an exemption'
        : /exceeded quota|must specify limits/.test(error.message)
          ? 'Raise the quota, or choose another namespace prefix with --namespace'
          : error.remedy;
      throw new UserError(error.message, {
        ...(error.where !== undefined && { where: error.where }),
        ...(remedy !== undefined && { remedy }),
        cause: error,
      });
    }
  }

  #workload(spec: WorkloadSpec, pod: KubernetesObject): Workload {
    const { name, namespace = '' } = pod.metadata;
    const container = AGENT_CONTAINER;
    const addresses = addressesOf(pod);
    const node = nodeOf(pod);
    const probe = this.#options.connectProbe({
      where: `${this.name}/${keyOf(spec)}`,
      open: () =>
        this.client.open({ namespace, name, container }, agentBridge(AGENT_SOCKET), BRIDGE_HEARTBEAT),
    });
    return {
      cluster: this.name,
      spec,
      ...(node !== undefined && { node }),
      addresses,
      probe: this.#backends.following(probe, { spec, addresses, pod: name, namespace, node }),
      shell: quoteCommand([
        'kubectl',
        ...['--kubeconfig', this.kubeconfig, '--context', this.context],
        ...['exec', '--namespace', namespace, name, '--container', container, '--'],
      ]),
    };
  }

  /** What the pods themselves use: a node's cache and a domain of one's own are no rarity. */
  async #resolve(pod: KubernetesObject): Promise<void> {
    const { name, namespace = '' } = pod.metadata;
    this.#resolver ??= this.objects
      .exec({ namespace, name, container: AGENT_CONTAINER }, ['cat', '/etc/resolv.conf'])
      .then(parseResolver);
    try {
      this.#resolved = await this.#resolver;
    } catch (error) {
      this.#resolver = undefined;
      throw error;
    }
  }

  /** Name of a namespace of specifications in this cluster. */
  namespaceOf(namespace: string): string {
    return namespaceName(namespace, this.#options.namespacePrefix);
  }

  /** @returns its name in this cluster @throws UserError when somebody else's has this name */
  async ensureNamespace(namespace: string): Promise<string> {
    const name = this.namespaceOf(namespace);
    await this.#once(`namespace ${name}`, () => this.#makeNamespace(name, namespace));
    return name;
  }

  async #makeNamespace(name: string, namespace: string): Promise<void> {
    const { run, own, imagePullSecrets } = this.#options;
    const object = namespaceOf(name, namespace, this.#settings);
    const present = await this.objects.read(object);
    if (present && present.metadata.labels?.[LABELS.run] !== run) {
      const owner = present.metadata.labels?.[LABELS.run];
      throw new UserError(
        `the namespace ${name} exists already${owner === undefined ? '' : `: run ${owner} has it`}`,
        {
          where: `cluster ${this.name}`,
          remedy:
            owner === undefined
              ? 'Choose a prefix of your own with --namespace'
              : `Wait for that run, remove it with \`mcnet-conformance clean ${owner}\`, or choose --namespace`,
        },
      );
    }
    if (!own) await this.#noteNamespaces();
    await this.objects.apply([object]);
    await Promise.all(imagePullSecrets.map((secret) => this.#copySecret(secret, name)));
  }

  /** Once for all of them: they are found by the label of the run. */
  #noteNamespaces(): Promise<void> {
    const { run, ledger } = this.#options;
    return this.#once('undo of namespaces', () =>
      ledger.add({
        description: `namespaces of run ${run} in cluster ${this.name}`,
        undo: {
          kind: 'delete-namespaces',
          kubeconfig: this.kubeconfig,
          context: this.context,
          label: runSelector(run),
        },
      }),
    );
  }

  async #copySecret(name: string, namespace: string): Promise<void> {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' } };
    const source = await this.objects.read(secret);
    if (!source) {
      throw new UserError(`there is no Secret ${name} in the namespace default`, {
        where: `cluster ${this.name}, --image-pull-secret`,
        remedy:
          'Create it there (kubernetes.io/dockerconfigjson): pods of this run pull their image with a copy',
      });
    }
    await this.objects.apply([
      { ...secret, metadata: { name, namespace }, type: source['type'], data: source['data'] },
    ]);
  }

  #once(what: string, action: () => Promise<void>): Promise<void> {
    const known = this.#made.get(what);
    if (known) return known;
    const making = action();
    this.#made.set(what, making);
    making.catch(() => this.#made.delete(what));
    return making;
  }

  async exposeService(spec: ServiceSpec): Promise<void> {
    const { families } = this.#options;
    const namespace = await this.ensureNamespace(spec.namespace);
    const service = await this.objects.applyOne(serviceOf(spec, namespace, families));
    if (spec.fixedEndpoints !== undefined) {
      await this.objects.apply(fixedSlices(spec, namespace, this.ranges.pods, families));
    }
    if (spec.startedBackends) await this.#backends.add(spec, namespace);
    this.#services.set(keyOf(spec), { spec, addresses: clusterIpsOf(service) });
  }

  serviceAddress(service: ServiceKey): SharedAddress {
    const known = this.#services.get(keyOf(service));
    if (!known) throw new UserError(`cluster ${this.name} has no service ${keyOf(service)}`);
    return { name: this.serviceName(service), addresses: known.addresses };
  }

  /** Its DNS name, in this cluster's own domain. */
  serviceName({ namespace, name }: ServiceKey): string {
    return `${name}.${this.namespaceOf(namespace)}.svc.${this.#resolved?.domain ?? DEFAULT_DOMAIN}`;
  }

  /** Policies that this run has put in place. @param namespace its name in the cluster; default all */
  async policies(namespace?: string): Promise<readonly KubernetesObject[]> {
    const { run, policyKinds } = this.#options;
    const lists = [NETWORK_POLICY, ...policyKinds].map((kind) =>
      this.objects.list({
        ...kind,
        ...(namespace !== undefined && { namespace }),
        labelSelector: runSelector(run),
      }),
    );
    return (await Promise.all(lists)).flat();
  }

  policyPlace(namespace: string): PolicyPlace {
    const { fleetRanges, families } = this.#options;
    return { cluster: this.name, namespace, ranges: fleetRanges, families };
  }

  /** Of Kubernetes, as its API server says. */
  async version(): Promise<string> {
    const answer = await inCluster(this.name, () =>
      this.client.json({ what: 'read the version', method: 'GET', path: '/version' }),
    );
    return (answer as { readonly gitVersion?: string } | undefined)?.gitVersion ?? 'unknown';
  }

  async nodes(): Promise<readonly KubernetesNode[]> {
    const nodes = await this.objects.list({ apiVersion: 'v1', kind: 'Node' });
    return nodes.map((node) => ({
      name: node.metadata.name,
      addresses: nodeAddressesOf(node),
      podRanges: podRangesOf(node),
      takesWorkloads: takesPods(node, this.#options),
    }));
  }

  async containerReadings(): Promise<readonly ContainerReading[]> {
    const nodes = await this.nodes();
    const answers = await Promise.all(
      nodes.map(({ name }) =>
        inCluster(this.name, () =>
          this.client.json({
            what: `read what containers of node ${name} take`,
            method: 'GET',
            path: `/api/v1/nodes/${encodeURIComponent(name)}/proxy/stats/summary`,
            query: { only_cpu_and_memory: 'true' },
          }),
        ),
      ),
    );
    return answers.flatMap(readingsOf);
  }

  /** Takes over what a kept run left. @throws UserError naming a workload that is gone or not ready */
  async reconnect(): Promise<void> {
    const { run } = this.#options;
    const find = (kind: 'Pod' | 'Service') =>
      this.objects.list({ apiVersion: 'v1', kind, labelSelector: runSelector(run) });
    const [pods, services] = await Promise.all([find('Pod'), find('Service')]);
    for (const service of services) {
      const spec = specOf(service) as ServiceSpec | undefined;
      if (!spec) continue;
      this.#services.set(keyOf(spec), { spec, addresses: clusterIpsOf(service) });
      // Whatever a run that was cut short left listed: no backend is started yet.
      if (spec.startedBackends) await this.#backends.add(spec, this.namespaceOf(spec.namespace));
    }
    for (const pod of pods) {
      const spec = specOf(pod) as WorkloadSpec | undefined;
      if (!spec || isLeaving(pod)) continue;
      this.#running.set(keyOf(spec), this.#workload(spec, pod));
      if (!this.#resolved) await this.#resolve(pod);
    }
  }

  figures(): Figures {
    const { requests, execs } = this.client.counts;
    return {
      'API requests': { value: requests, unit: 'requests' },
      'exec sessions': { value: execs, unit: 'sessions' },
    };
  }

  diagnose(): Promise<Readonly<Record<string, string>>> {
    return diagnoseCluster(this.objects, this.#options.run, this.workloads);
  }
}
