import { test } from 'tap';
import { goModOf, stagingReplacements } from '../../../ci/offline/goModule.ts';

test('a module around a program is written as go.mod wants it', async (t) => {
  t.equal(
    goModOf({
      name: 'cilium',
      go: '1.26.0',
      godebug: 'go1.25',
      require: { 'github.com/cilium/cilium': 'v1.20.2' },
      replace: { 'b.example/local': './local', 'a.example/fork': 'c.example/fork v1.0.0' },
    }),
    `module mcnet-conformance.local/cilium

go 1.26.0

godebug default=go1.25

require (
	github.com/cilium/cilium v1.20.2
)

replace (
	a.example/fork => c.example/fork v1.0.0
	b.example/local => ./local
)
`,
  );
  t.notMatch(goModOf({ name: 'x', go: '1.24', require: { a: 'v1' } }), /replace|godebug/);
});

test('staging modules of Kubernetes are replaced by what is published', async (t) => {
  const goMod = `module k8s.io/kubernetes

require (
	k8s.io/api v0.0.0
	k8s.io/kube-proxy v0.0.0 // indirect
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kube-proxy => ./staging/src/k8s.io/kube-proxy
	k8s.io/sample-controller => ./staging/src/k8s.io/sample-controller
)
`;
  t.same(
    stagingReplacements(goMod, 'v0.34.4'),
    { 'k8s.io/api': 'k8s.io/api v0.34.4', 'k8s.io/kube-proxy': 'k8s.io/kube-proxy v0.34.4' },
    'what is not required is left out, and what has a version of its own',
  );
  t.throws(() => stagingReplacements('module k8s.io/other\n', 'v0.34.4'), /names no staging module/);
});
