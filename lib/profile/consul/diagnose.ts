/** What of Consul a person would look at after a failure; bounded, and without secrets. */
import type { Cluster } from '../../model/cluster.ts';
import { answersTo } from '../common/diagnose.ts';
import { asKubernetes } from './clusters.ts';
import {
  GATEWAY,
  GATEWAY_CONTAINER,
  PROXIES,
  SERVER,
  SERVER_CONTAINER,
  SYSTEM_NAMESPACE,
  servicesOf,
} from './names.ts';
import { endpointsOf } from './proxies.ts';
import { type Request, podsOf, tell } from './server.ts';

const LOG_LINES = 200;
/** Of so many, since most of them say over and over that a backend does not run, or that an option is old. */
const LINES_READ = 20_000;
const NOISE = /Check is now (?:critical|passing)|Deprecated field/;

/** What a log says beside its noise: its end. Pure. */
export const saidIn = (log: string): string =>
  log
    .split('\n')
    .filter((line) => !NOISE.test(line))
    .slice(-LOG_LINES)
    .join('\n');

/** Of each kind; more say the same again. */
const MOST_PROXIES = 3;

/** Lists none of which holds a token or a key. */
const LISTS: Readonly<Record<string, string>> = {
  'consul-peerings.json': '/v1/peerings',
  'consul-exported.json': '/v1/config/exported-services',
  'consul-intentions.json': '/v1/config/service-intentions',
  'consul-resolvers.json': '/v1/config/service-resolver',
  'consul-checks.json': '/v1/health/state/any',
};

export async function diagnoseConsul(where: Cluster): Promise<Readonly<Record<string, string>>> {
  const cluster = asKubernetes(where);
  const logOf = async (app: string, container: string): Promise<string> => {
    const logs = await Promise.all(
      (await podsOf(cluster, app)).map(async ({ metadata: { name } }) =>
        saidIn(
          await cluster.objects.log({ namespace: SYSTEM_NAMESPACE, name, container }, { lines: LINES_READ }),
        ),
      ),
    );
    return logs.join('\n') || `no ${app} runs here`;
  };
  const questions: [string, () => Promise<string>][] = [
    ['consul-server.log', () => logOf(SERVER, SERVER_CONTAINER)],
    ['mesh-gateway.log', () => logOf(GATEWAY, GATEWAY_CONTAINER)],
    ...Object.entries(LISTS).map(([file, path]): [string, () => Promise<string>] => [
      file,
      async () => {
        const request: Request = { method: 'GET', path };
        return (await tell(cluster, [request])).join('');
      },
    ]),
    ...cluster.workloads
      .filter(({ spec }) => servicesOf(spec).length > 0)
      .slice(0, MOST_PROXIES)
      .flatMap((workload): [string, () => Promise<string>][] => [
        [
          `proxies-${workload.spec.name}.log`,
          () =>
            cluster.objects.log(
              {
                namespace: cluster.namespaceOf(workload.spec.namespace),
                name: workload.spec.name,
                container: PROXIES,
              },
              { lines: LOG_LINES },
            ),
        ],
        [`proxies-${workload.spec.name}-endpoints.txt`, () => endpointsOf(workload, cluster)],
      ]),
  ];
  return answersTo(Object.fromEntries(questions));
}
