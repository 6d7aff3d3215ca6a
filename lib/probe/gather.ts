/**
 * Calls that wait for each other's company: what is asked while an earlier call is under way leaves as one, at the latest
 * after a moment. Whoever calls alone is not held up. Hundreds of cases ask one agent at the same time, and a message, a
 * wake-up and a burst of packets for each of them would cost more than what they ask for.
 */
export function gathering<Q, A>(
  ask: (requests: readonly Q[]) => Promise<readonly A[]>,
  { holdMs, most }: { readonly holdMs: number; readonly most: number },
): (requests: readonly Q[]) => Promise<A[]> {
  interface Waiting {
    readonly requests: readonly Q[];
    readonly resolve: (answers: A[]) => void;
    readonly reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let underWay = 0;
  let timer: NodeJS.Timeout | undefined;

  const leave = (): void => {
    clearTimeout(timer);
    timer = undefined;
    let count = 0;
    const group: Waiting[] = [];
    while (waiting[0] && (group.length === 0 || count + waiting[0].requests.length <= most)) {
      count += waiting[0].requests.length;
      group.push(waiting.shift() as Waiting);
    }
    if (group.length > 0) void send(group);
    if (waiting.length > 0) leave();
  };

  const send = async (group: readonly Waiting[]): Promise<void> => {
    underWay++;
    try {
      const answers = await ask(group.flatMap(({ requests }) => requests));
      let from = 0;
      for (const { requests, resolve } of group) {
        resolve(answers.slice(from, from + requests.length));
        from += requests.length;
      }
    } catch (error) {
      // One request that cannot be made must not fail the others: each finds out by itself.
      if (group.length === 1) group[0]?.reject(error);
      else for (const one of group) void send([one]);
    }
    underWay--;
    if (underWay === 0 && waiting.length > 0) leave();
  };

  return (requests) =>
    new Promise((resolve, reject) => {
      waiting.push({ requests, resolve, reject });
      if (underWay === 0) leave();
      else timer ??= setTimeout(leave, holdMs);
    });
}
