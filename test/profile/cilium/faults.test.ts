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
