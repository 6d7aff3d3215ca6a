import t from 'tap';
import type { Component } from '../../lib/model/cluster.ts';
import { SUPPORTED_SKEW } from '../../lib/profile/istio/versions.ts';
import { minorOf, skew } from '../../suites/versions.ts';
import { judge, outcomeOf } from './judging.ts';

t.test('what is a version', async (t) => {
  t.same(minorOf('v1.34.4'), { major: 1, minor: 34 });
  t.same(minorOf('1.31.0-dev.20260827'), { major: 1, minor: 31 });
  t.same(minorOf('1.31'), { major: 1, minor: 31 });
  t.equal(minorOf('unknown'), undefined);
  t.equal(minorOf(''), undefined);
});

t.test('versions.skew', async (t) => {
  const component = (kind: Component['kind'], version: string, cluster = 'east'): Component => ({
    cluster,
    kind,
    name: 'one',
    version,
  });
  const verdict = (...components: Component[]) =>
    outcomeOf(judge(skew, { found: { components, supported: SUPPORTED_SKEW } }));
  const east = component('control plane', '1.31.0');
  const west = component('control plane', '1.31.0', 'west');
  t.equal(verdict(east, west, component('proxy', '1.31.0'), component('kubernetes', 'v1.34.4')), 'passed');
  t.equal(verdict(east, component('control plane', '1.30.2', 'west')), 'passed');
  t.equal(verdict(east, component('control plane', '1.29.2', 'west')), 'failed: version-skew');
  t.equal(verdict(east, component('proxy', '1.30.9')), 'passed');
  t.equal(verdict(east, component('proxy', '1.29.9')), 'failed: version-skew');
  t.equal(verdict(east, component('proxy', '1.32.0')), 'failed: version-skew', 'ahead of its control plane');
  t.equal(verdict(east, component('kubernetes', 'v1.29.1')), 'failed: version-skew');
  t.equal(verdict(east, component('proxy', 'unknown')), 'inconclusive: probe-failed');
  t.equal(verdict(component('proxy', '1.31.0')), 'inconclusive: probe-failed');
  t.equal(outcomeOf(judge(skew, { found: null })), 'skipped');
});
