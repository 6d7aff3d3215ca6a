/** What a relay is told: datagrams that come to `listen` go on to `to`, later or in another order; answers go straight back. */
import { entryFile } from '../../model/entry.ts';

export interface RelayConfig {
  readonly ways: readonly { readonly listen: Endpoint; readonly to: Endpoint }[];
  readonly delayMs: number;
  /** This share of the datagrams waits for `holdMs` more, and so is overtaken. */
  readonly heldShare: number;
  readonly holdMs: number;
}

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export const relayCommand = (config: RelayConfig): [string, ...string[]] => [
  process.execPath,
  '--max-old-space-size=64',
  entryFile(import.meta.url, 'relay', './main.ts'),
  JSON.stringify(config),
];
