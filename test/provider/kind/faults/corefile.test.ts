import t from 'tap';
import { denying, forwarding, remembering, withTtl } from '../../../../lib/provider/kind/faults/corefile.ts';

/** As kubeadm writes it. */
const COREFILE = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
}
`;

t.test('a zone that is denied, or asked for elsewhere, has a block of its own; the rest stays', async (t) => {
  const denied = denying(COREFILE, 'cluster.local');
  t.ok(denied.startsWith(COREFILE));
  t.match(
    denied.slice(COREFILE.length),
    /^cluster\.local:53 \{\n[^]*template ANY ANY \{\n +rcode NXDOMAIN\n +\}\n\}\n$/,
  );
  const forwarded = forwarding(COREFILE, 'cluster.local', ['10.16.0.5', '10.16.0.9']);
  t.ok(forwarded.startsWith(COREFILE));
  t.match(
    forwarded.slice(COREFILE.length),
    /^cluster\.local:53 \{\n[^]*forward \. 10\.16\.0\.5 10\.16\.0\.9\n\}\n$/,
  );
});

t.test('another TTL takes the place of the one that is there, or is added', async (t) => {
  const expected = COREFILE.replace('ttl 30', 'ttl 3600');
  t.equal(withTtl(COREFILE, 3_600), expected);
  t.equal(withTtl(COREFILE.replace(/\n *ttl 30/, ''), 3_600), expected);
  t.equal(withTtl('.:53 {\n    whoami\n}\n', 60), undefined);
});

t.test('old records answer for their names alone, in the families that they have', async (t) => {
  const old = remembering(COREFILE, [
    { name: 'each.shop.svc.cluster.local', addresses: { ipv4: ['10.0.0.9', '10.0.0.3'], ipv6: ['fd00::9'] } },
  ]);
  t.match(old, /^\.:53 \{\n {4}template IN A each\.shop\.svc\.cluster\.local \{\n/);
  t.match(old, 'match "^each\\.shop\\.svc\\.cluster\\.local\\.$"');
  t.equal(old.match(/answer "\{\{ \.Name \}\} 5 IN A 10\.0\.0\.[93]"/g)?.length, 2);
  t.equal(old.match(/answer "\{\{ \.Name \}\} 5 IN AAAA fd00::9"/g)?.length, 1);
  t.equal(old.match(/fallthrough\n {4}\}/g)?.length, 2);
  t.ok(old.endsWith(COREFILE.slice(COREFILE.indexOf('    errors'))));
});
