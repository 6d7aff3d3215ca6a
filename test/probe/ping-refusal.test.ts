import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { runPing } from '../../lib/probe/agent/ping.ts';

/** Words of iputils 20240905, which no longer name the MTU that the kernel holds against a packet. */
const REFUSED = `PING 10.16.0.4 (10.16.0.4) 1393(1421) bytes of data.

--- 10.16.0.4 ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms
`;

function program(folder: string, name: string, script: string): void {
  writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(path.join(folder, name), 0o755);
}

void t.test('when the kernel refuses a packet, it is asked for the MTU', async (t) => {
  const folder = t.testdir();
  const routeFile = path.join(folder, 'route');
  program(folder, 'ping', `cat <<'END'\n${REFUSED}END\necho 'ping: sendmsg: Message too long' >&2\nexit 1`);
  program(
    folder,
    'ip',
    `case "$*" in *route*) cat '${routeFile}' ;; *) echo '[{"ifname":"eth0","mtu":1500}]' ;; esac`,
  );
  const before = process.env['PATH'];
  process.env['PATH'] = `${folder}:${before}`;
  t.teardown(() => {
    process.env['PATH'] = before;
  });
  for (const [what, metrics, mtu] of [
    ['the path MTU that it remembers', '[{"mtu":1420}]', 1420],
    ["the interface's MTU where it remembers none", '[]', 1500],
  ] as const) {
    writeFileSync(routeFile, `[{"dst":"10.16.0.4","dev":"eth0","metrics":${metrics}}]`);
    const report = await runPing(
      { address: '10.16.0.4', count: 1, intervalMs: 10, timeoutMs: 1_000, payload: 1393, dontFragment: true },
      new AbortController().signal,
    );
    t.match(report, { received: 0, signalledMtu: mtu, error: 'sendmsg: Message too long' }, what);
  }
});
