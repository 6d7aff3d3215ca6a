/** What injectors write into a cluster, and how they take it back; that it breaks anything only real clusters show. */
import t from 'tap';
import type { Fleet, KubernetesObject, UndoAction } from '../../../lib/model/cluster.ts';
import { meshInjectors } from '../../../lib/profile/cilium/faults.ts';
import { sharingAnnotations } from '../../../lib/profile/cilium/share.ts';

const service = (name: string, annotations?: Record<string, string>): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'mcnet', ...(annotations && { annotations }) },
  spec: { clusterIP: '10.8.0.7' },
});

t.test('everything is shared: what nobody shared, and what was kept from others', async (t) => {
  const spread = sharingAnnotations({ preference: 'spread' });
  const local = sharingAnnotations({ preference: 'prefer-local' });
  const kept = sharingAnnotations({ preference: 'spread', offered: false });
  const standing = [service('nobody'), service('kept', kept), service('offered', local)];
  const applied: (readonly KubernetesObject[])[] = [];
  const west = {
    kind: 'kubernetes',
    name: 'west',
    workloads: [{ spec: { namespace: 'mcnet' } }, { spec: { namespace: 'mcnet' } }],
    namespaceOf: (namespace: string) => namespace,
    objects: {
      list: () => Promise.resolve(standing),
      apply: (objects: readonly KubernetesObject[]) => Promise.resolve(void applied.push(objects)),
      delete: () => Promise.resolve(),
    },
  };
  const notes: UndoAction[] = [];
  const ledger = { add: ({ undo }: { undo: UndoAction }) => Promise.resolve(void notes.push(undo)) };
  const injector = meshInjectors('global-service').find(({ kinds }) => kinds.includes('everything-exported'));
  const disturbance = await injector?.inject(
    { kind: 'everything-exported', cluster: 'west' },
    { clusters: [west] } as unknown as Fleet,
    ledger,
  );
  const said = (objects: readonly KubernetesObject[] = []) =>
    objects.map(({ metadata }) => [metadata.name, metadata.annotations ?? {}]);
  t.strictSame(said(applied[0]), [
    ['nobody', spread],
    ['kept', spread],
  ]);
  const before = [
    ['nobody', {}],
    ['kept', kept],
  ];
  const [note] = notes;
  t.strictSame(note?.kind === 'restore-objects' && said(note.apply), before, 'noted before it was changed');
  await disturbance?.mend();
  t.strictSame(said(applied[1]), before);
});

t.test('exports are nothing that a whole cluster does by habit', async (t) => {
  const kinds = meshInjectors('mcs-api').flatMap((injector) => injector.kinds);
  t.notOk(kinds.includes('everything-exported'));
});

t.test('whoever is mended first waits for nobody whose server another fault has taken', async (t) => {
  const createCluster = (name: string) => {
    let replicas = 1;
    let asked = 0;
    const pods = () => [
      {
        metadata: { name: 'server' },
        status: { conditions: [{ type: 'Ready', status: replicas > 0 ? 'True' : 'False' }] },
      },
    ];
    const objects = {
      list: ({ labelSelector = '' }) =>
        Promise.resolve(labelSelector.includes('clustermesh-apiserver') ? pods() : []),
      apply: (objects: readonly KubernetesObject[]) => {
        for (const one of objects) replicas = (one['spec'] as { replicas: number }).replicas;
        return Promise.resolve();
      },
      delete: () => Promise.resolve(),
      exec: () => {
        asked++;
        return Promise.reject(new Error('nobody answers'));
      },
    };
    return { kind: 'kubernetes', name, workloads: [], objects, asked: () => asked };
  };
  const clusters = ['east', 'west'].map(createCluster);
  const fleet = {
    clusters,
    topology: { kind: 'full-mesh', hub: 'east', members: clusters.map(({ name }) => ({ name })) },
  } as unknown as Fleet;
  const injector = meshInjectors('global-service').find(({ kinds }) =>
    kinds.includes('control-plane-stopped'),
  );
  const stop = (cluster: string) =>
    injector?.inject({ kind: 'control-plane-stopped', cluster }, fleet, { add: () => Promise.resolve() });
  const faults = [await stop('east'), await stop('west')];
  for (const fault of faults) t.equal(await fault?.tookHold(), true);
  const before = clusters.map(({ asked }) => asked());
  await faults[1]?.mend();
  t.strictSame(
    clusters.map(({ asked }) => asked()),
    before,
    'of whom there is nothing to be heard, nobody is asked',
  );
});

t.test('the certificate of a server goes, and comes back as it was', async (t) => {
  const secret: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'clustermesh-apiserver-server-cert', namespace: 'kube-system' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': 'eA==' },
  };
  let standing: KubernetesObject | undefined = secret;
  const west = {
    kind: 'kubernetes',
    name: 'west',
    objects: {
      read: () => Promise.resolve(standing),
      apply: ([object]: readonly KubernetesObject[]) => Promise.resolve(void (standing = object)),
      delete: ({ length }: readonly object[]) => Promise.resolve(void (length > 0 && (standing = undefined))),
    },
  };
  const injector = meshInjectors('global-service').find(({ kinds }) => kinds.includes('certificate-deleted'));
  t.equal(injector?.reach, 'cluster');
  const fault = await injector?.inject(
    { kind: 'certificate-deleted', cluster: 'west' },
    { clusters: [west] } as unknown as Fleet,
    { add: () => Promise.resolve(void t.ok(standing, 'noted before it is taken')) },
  );
  t.equal(await fault?.tookHold(), true);
  await fault?.mend();
  t.match(standing, { type: 'kubernetes.io/tls', data: secret['data'] });
});
