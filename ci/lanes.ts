/**
 * Which tests may run beside which. What is in neither list makes no lab, starts no container and has no time-out that could
 * come too soon: it runs whenever nothing else wants a processor, which may take a while.
 */

/** What is measured here is how fast something is: nothing else may want the processors. */
export const ALONE: readonly string[] = [
  'test/e2e/core.test.ts',
  'test/probe/throughput.test.ts',
  'test/run/proveFigures.test.ts',
];

/**
 * Labs and processes that wait for something to happen, however long it takes: some of them may run at once. The longest
 * come first.
 */
export const BESIDE: readonly string[] = [
  'test/run/proveLab.test.ts',
  'test/provider/lab/faults.test.ts',
  'test/e2e/interruption.test.ts',
  'test/e2e/breaking.test.ts',
  'test/e2e/hostile.test.ts',
  'test/e2e/shapes.test.ts',
  'test/cli/compare.test.ts',
  'test/e2e/together.test.ts',
  'test/underlay/wireguard/faults.test.ts',
  'test/provider/lab/lab.test.ts',
  'test/probe/agent.test.ts',
  'test/provider/kind/gateway.test.ts',
  'test/probe/path-mtu.test.ts',
  'test/probe/backends.test.ts',
  'test/provider/lab/controller/integration.test.ts',
  'test/cli/run.test.ts',
  'test/fixtures/images.test.ts',
  'test/provider/kubernetes/cluster.test.ts',
  'test/system/kubernetes/client.test.ts',
  'test/underlay/wireguard/join.test.ts',
  'test/provider/contexts/survey.test.ts',
  'test/underlay/direct/index.test.ts',
  'test/provider/lab/controller/peers.test.ts',
  'test/system/undo.test.ts',
  'test/run/execute.test.ts',
  'test/run/toolkit.test.ts',
  'test/run/drill.test.ts',
  'test/run/prove.test.ts',
  'test/run/state.test.ts',
  'test/run/usage.test.ts',
  'test/system/shellSession.test.ts',
  'test/provider/agentBridge.test.ts',
  'test/system/launcher/client.test.ts',
  'test/probe/client.test.ts',
  'test/provider/lab/controller/health.test.ts',
  'test/cli/signals.test.ts',
  'test/probe/handshake.test.ts',
  'test/probe/ping-refusal.test.ts',
  'test/provider/lab/machine.test.ts',
  'test/system/sockets.test.ts',
];
