import t from 'tap';
import { forwardingZone } from '../../../lib/profile/common/coreDns.ts';

t.test('questions about a zone are left to its own server', async (t) => {
  const corefile = '.:53 {\n    errors\n    kubernetes cluster.local {\n    }\n    reload\n}\n';
  const forwarding = forwardingZone(corefile, 'consul', '10.8.0.7');
  t.equal(forwarding, `${corefile}consul:53 {\n    errors\n    forward . 10.8.0.7\n}\n`);
  t.equal(
    forwardingZone(forwarding, 'consul', '10.8.0.8'),
    forwarding.replace('10.8.0.7', '10.8.0.8'),
    'twice is as good as once, and the last one holds',
  );
});
