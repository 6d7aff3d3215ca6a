/** Stands for the gateway of a cluster that has none of this program: it has no address, and does nothing. */
import type { Gateway } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { Probe } from '../../model/probe.ts';

/** Whatever is asked of it is refused with this: checks that need a gateway say so by what they require. */
export function absentGateway(cluster: string): Gateway {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new UserError(`cluster ${cluster} has no gateway of this program`, {
        where: 'clusters that exist',
        remedy: 'Choose checks that need none: those of pods, services and policies',
      }),
    );
  const probe = new Proxy({} as Probe, {
    // Whoever awaits the probe itself asks whether it is a promise.
    get: (_, method) => (typeof method === 'symbol' || method === 'then' ? undefined : refuse),
  });
  return {
    cluster,
    wanAddresses: {},
    nodeAddresses: {},
    wanInterface: '',
    clusterInterface: '',
    shell: '',
    probe,
    exec: refuse,
    startDaemon: refuse,
    stopDaemon: refuse,
    writeFile: refuse,
    startCapture: refuse,
  };
}
