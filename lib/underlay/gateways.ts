/** What every underlay does with gateways. */
import type { Fleet, Gateway } from '../model/cluster.ts';
import { InternalError, messageOf } from '../model/errors.ts';
import { allEnded } from '../model/promises.ts';
import { randomHex } from '../system/clock.ts';
import { type Command, quoteCommand } from '../system/commands.ts';

export function gatewayOf(fleet: Fleet, name: string): Gateway {
  const cluster = fleet.clusters.find((one) => one.name === name);
  if (!cluster) throw new InternalError(`there is no cluster "${name}" in this fleet`);
  return cluster.gateway;
}

/** Between gateways of one machine: hundreds of round trips, and short enough to wait for silence often. */
const ANSWER_SECONDS = '0.4';

/** What each of these commands prints, one after the other in one shell: starting programs is what costs. @throws like exec */
export async function execEach(gateway: Gateway, commands: readonly Command[]): Promise<string[]> {
  const mark = `end-${randomHex(8)}\n`;
  const script = commands.map((command) => `${quoteCommand(command)}\nprintf %s ${quoteCommand([mark])}\n`);
  const printed = await gateway.exec(['sh', '-e', '-s'], { input: script.join('') });
  return printed.split(mark).slice(0, commands.length);
}

/** Whether one packet to this address is answered soon. */
export async function answers(gateway: Gateway, address: string): Promise<boolean> {
  return gateway.exec(['ping', '-n', '-q', '-c', '1', '-W', ANSWER_SECONDS, address]).then(
    () => true,
    () => false,
  );
}

/**
 * Acts on all items, `limit` at a time. After the first failure no further one is begun, and it rejects only when none
 * is under way any more: what cleans up afterwards then has the gateways to itself.
 */
export async function forEachOf<T>(
  items: readonly T[],
  limit: number,
  act: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = [...items];
  const workers = Array.from({ length: Math.min(limit, queue.length) }, async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await act(item);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  });
  await allEnded(workers);
}

/** Output of commands by file name; the error in its place where one fails. `wg show` hides keys, unless told not to. */
export async function showEach(
  gateway: Gateway,
  commands: Readonly<Record<string, Command>>,
): Promise<Record<string, string>> {
  const files = await Promise.all(
    Object.entries(commands).map(async ([name, command]) => {
      const text = await gateway.exec(command).catch(messageOf);
      return [name, text.replaceAll(/^.*(?:private|preshared) key:.*\n?/gim, '')] as const;
    }),
  );
  return Object.fromEntries(files);
}
