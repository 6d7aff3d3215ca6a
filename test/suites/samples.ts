/** Observations as healthy systems give them, for judges to be shown wrong ones beside. */
import type { DialProtocol, Exchange, Resolution } from '../../lib/model/probe.ts';
import { PORTS } from '../../lib/model/workload.ts';

export const CALLER = { cluster: 'east', workload: 'mcnet/client', address: '10.0.0.2' };
export const TARGET = { cluster: 'west', workload: 'mcnet/echo-1', address: '10.16.0.3' };

let nonces = 0;

/** An exchange from CALLER, answered by TARGET unless `more` says otherwise. */
export function exchange(more: Partial<Exchange> = {}): Exchange {
  const outcome = more.outcome ?? 'answered';
  return {
    protocol: 'tcp' satisfies DialProtocol,
    address: TARGET.address,
    port: PORTS.echo,
    nonce: `nonce-${++nonces}`,
    outcome,
    durationMs: 1,
    ...(outcome === 'answered' && {
      answeredBy: { cluster: 'west', namespace: 'mcnet', workload: 'echo-1', instance: '1' },
      seenSource: { address: CALLER.address, port: 40_000 },
    }),
    ...more,
  };
}

export const answeredBy = (cluster: string, workload = 'echo-1'): Exchange =>
  exchange({ answeredBy: { cluster, namespace: 'mcnet', workload, instance: '1' } });

export const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

export function lookup(more: Partial<Resolution> & { owners?: Record<string, string> } = {}) {
  return {
    name: 'echo.mcnet.svc.clusterset.local',
    type: 'A',
    server: '10.0.0.10',
    transport: 'udp',
    outcome: 'answered',
    rcode: 'NOERROR',
    addresses: [],
    services: [],
    ttls: [],
    durationMs: 2,
    owners: {},
    ...more,
  };
}
