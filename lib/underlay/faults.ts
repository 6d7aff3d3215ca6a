/** Faults that underlays have in common. */
import type { FaultInjector, Fleet, Gateway, Ledger } from '../model/cluster.ts';
import { InternalError } from '../model/errors.ts';
import type { Disturbance, FaultKind, FaultSpec } from '../model/fault.ts';
import { gatewayOf, undoAt } from './gateways.ts';
import { renderTable } from './routing.ts';

export type FaultOf<K extends FaultKind> = Extract<FaultSpec, { kind: K }>;

export function injectorOf<K extends FaultKind>(
  kind: K,
  inject: (fault: FaultOf<K>, fleet: Fleet, ledger: Ledger) => Promise<Disturbance>,
): FaultInjector {
  return {
    kinds: [kind],
    inject(fault, fleet, ledger) {
      if (fault.kind !== kind)
        throw new InternalError(`"${fault.kind}" was given to the injector of "${kind}"`);
      return inject(fault as FaultOf<K>, fleet, ledger);
    },
  };
}

/** How the interface that carries the traffic between clusters was set up. */
export interface Carrier {
  readonly interface: string;
  /** For `ip -batch`: MTU, addresses and routes as they should be; may be repeated. */
  readonly restore: string;
}

/** Leaves the batch at the gateway, notes in the ledger that it mends, and gives the same as a function. */
export async function prepareRestore(
  gateway: Gateway,
  carrier: Carrier,
  what: string,
  ledger: Ledger,
): Promise<() => Promise<void>> {
  const file = await gateway.writeFile(`restore-${carrier.interface}.batch`, carrier.restore);
  const command = ['ip', '-batch', file] as const;
  await ledger.add({ description: what, undo: undoAt(gateway, command) });
  return async () => {
    await gateway.exec(command);
  };
}

const SILENCE_TABLE = 'mcnet_fault_mtu';

/**
 * `mtu-lowered`: the carrying interface of the gateway `at` gets a smaller MTU, so what leaves there is refused above it;
 * with `peer`, that neighbour's too. The gateway says so by ICMP, or with `dropped` its ICMP errors "fragmentation
 * needed" and "packet too big" are dropped as they leave it, in a table of their own.
 */
export function mtuInjector(carrierOf: (fleet: Fleet, cluster: string) => Carrier): FaultInjector {
  return injectorOf('mtu-lowered', async (fault, fleet, ledger) => {
    const ends = [fault.at, ...(fault.peer === undefined ? [] : [fault.peer])].map((cluster) => ({
      gateway: gatewayOf(fleet, cluster),
      carrier: carrierOf(fleet, cluster),
    }));
    const silence = renderTable(SILENCE_TABLE, [
      '  chain output {',
      '    type filter hook output priority filter; policy accept;',
      '    icmp type destination-unreachable icmp code frag-needed drop',
      '    icmpv6 type packet-too-big drop',
      '  }',
    ]);
    // Added first, so that it is no error to delete what is gone.
    const speak = ['nft', `add table inet ${SILENCE_TABLE}; delete table inet ${SILENCE_TABLE}`] as const;
    const mends: (() => Promise<unknown>)[] = [];
    for (const { gateway, carrier } of ends) {
      mends.push(await prepareRestore(gateway, carrier, `lowered MTU at ${gateway.cluster}`, ledger));
      if (fault.icmp === 'dropped') {
        await ledger.add({
          description: `ICMP errors about size dropped at ${gateway.cluster}`,
          undo: undoAt(gateway, speak),
        });
        mends.push(() => gateway.exec(speak));
        await gateway.exec(['nft', '-f', '-'], { input: silence });
      }
      await gateway.exec(['ip', 'link', 'set', 'dev', carrier.interface, 'mtu', String(fault.mtu)]);
    }
    return {
      async tookHold() {
        for (const { gateway, carrier } of ends) {
          if ((await linkOf(gateway, carrier.interface)).mtu !== fault.mtu) return false;
          if (
            fault.icmp === 'dropped' &&
            !(await gateway.exec(['nft', 'list', 'tables'])).includes(SILENCE_TABLE)
          )
            return false;
        }
        return true;
      },
      async mend() {
        for (const mend of mends) await mend();
      },
    };
  });
}

/** What the kernel says of an interface. */
export async function linkOf(gateway: Gateway, name: string): Promise<{ mtu: number; flags: string[] }> {
  const [link] = JSON.parse(await gateway.exec(['ip', '-json', 'link', 'show', 'dev', name])) as {
    mtu: number;
    flags: string[];
  }[];
  if (!link) throw new InternalError(`ip shows nothing of the interface ${name} at ${gateway.cluster}`);
  return link;
}
