/** Tokens by which servers become peers of each other. */
import type { JoinTokens } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import { asKubernetes } from './clusters.ts';
import { type Request, ask, isJoined, tell } from './server.ts';

export const tokenRequest = (PeerName: string): Request => ({
  method: 'POST',
  path: '/v1/peering/token',
  body: { PeerName },
});
export const establishRequest = (PeerName: string, PeeringToken: string): Request => ({
  method: 'POST',
  path: '/v1/peering/establish',
  body: { PeerName, PeeringToken },
});
export const removalRequest = (peer: string): Request => ({ method: 'DELETE', path: `/v1/peering/${peer}` });

/** Pure. @param answer to a request for a token */
export const tokenIn = (answer: string): string =>
  (JSON.parse(answer) as { readonly PeeringToken: string }).PeeringToken;

/** What a server says of a token that it does not take; all else is no judgement of the token. Pure. */
export const isRefusal = (words: string): boolean => /establishment secret|PermissionDenied/.test(words);

export const joinTokens: JoinTokens = {
  make: async (cluster, name) => {
    const [answer = '{}'] = await tell(asKubernetes(cluster), [tokenRequest(name)]);
    return tokenIn(answer);
  },
  use: async (cluster, name, token) => {
    const [answer] = await ask(asKubernetes(cluster), [establishRequest(name, token)]);
    if (!answer)
      throw new InternalError(`the server of ${cluster.name} did not say whether it takes a token`);
    if (answer.status >= 200 && answer.status < 300) return undefined;
    const words = answer.body.trim();
    if (isRefusal(words)) return words;
    throw new Error(`the server of ${cluster.name} could not use a token: ${answer.status} ${words}`);
  },
  isJoined: (cluster, name) => isJoined(asKubernetes(cluster), name),
  remove: async (cluster, name) => void (await tell(asKubernetes(cluster), [removalRequest(name)])),
};
