import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from '../model.ts';
import { readPolicy } from '../policies.ts';
import { ask, clusterPolicy, networkPolicy, pod } from '../testkit/objects.ts';
import { withMost } from '../testkit/with-most.ts';
import { withinLimits } from './limits.ts';
import { maxPeers, peerLimit } from './peers.ts';

const notApp = (i: number) => ({ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: [`a${i}`] }] } });
const app = (name: string, more: object = {}) => ({ podSelector: { matchLabels: { ...more, app: name } } });
const namespaced = (name: string, peer: object = {}) => ({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } }, ...peer });
const policyOf = (name: string, rules: object[]): Policy => readPolicy(networkPolicy(`shop/${name}`, { podSelector: {}, ingress: rules }))!;
const sizeOf = (policies: readonly Policy[], most = 0): number => peerLimit.sizeOf(policies.flatMap(peerLimit.claimsOf), most).size;
const closedOf = ({ rules }: Policy): number => (rules.ingress ?? []).filter(({ closed }) => closed !== undefined).length;
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

test('peers that one pod may be meant by add up, and those that ask for different values of one label do not', () => {
  assert.equal(sizeOf([policyOf('p', times(20, (i) => ({ from: [notApp(i)], ports: [{ port: i + 1 }] })))]), 20);
  assert.equal(sizeOf(times(20, (i) => policyOf(`p${i}`, [{ from: [app(`a${i}`)] }]))), 1);
  assert.equal(sizeOf(times(20, (i) => policyOf(`p${i}`, [{ from: [app(`a${i}`)] }, { from: [notApp(1)] }]))), 2);
  // Whichever label comes first: the one with more values tells them apart.
  assert.equal(sizeOf(times(20, (i) => policyOf(`p${i}`, [{ from: [app(`a${i}`, { env: 'prod' })] }]))), 1);
  assert.equal(sizeOf(times(20, (i) => policyOf(`p${i}`, [{ from: [namespaced(`n${i}`)] }]))), 1);
});

test('a peer that many policies name counts once, in few peers of a rule or in the same long list of them', () => {
  const usual = (i: number) => [namespaced('ingress-nginx'), namespaced('monitoring', app('prometheus')), app(`a${i}`)];
  assert.equal(sizeOf(times(1000, (i) => policyOf(`p${i}`, [{ from: usual(i), ports: [{ port: 8000 + i }] }]))), 3);
  const many = times(20, notApp);
  assert.equal(sizeOf(times(100, (i) => policyOf(`p${i}`, [{ from: i % 2 ? many : many.toReversed(), ports: [{ port: i + 1 }] }]))), 20);
  assert.equal(sizeOf(times(3, (i) => policyOf(`p${i}`, [{ from: [...many, notApp(20 + i)], ports: [{ port: i + 1 }] }]))), 63);
});

test('the most that a namespace may have is 500 peers that name pods by what they have not; further rules fail closed, in the order of names, and the policy says so', () => {
  const all = times(120, (k) => policyOf(`p${k + 100}`, times(5, (i) => ({ from: [notApp(5 * k + i)] }))));
  const now = withinLimits(all);
  assert.deepEqual(now.map(closedOf), times(120, (k) => (5 * k < maxPeers.namespace ? 0 : 5)));
  assert.equal(now[99], all[99]);
  assert.deepEqual(now, withinLimits(all.toReversed()).toReversed(), 'whatever the order of events');
  const [problem] = now[100]!.problems;
  assert.equal(problem!.at, 'spec.ingress[0]');
  assert.match(problem!.what, /^one pod may be meant by 600 different peers that rules of all NetworkPolicies in namespace shop name, more than the 500 that nodes take .*: name pods by a label/);
  assert.equal(problem!.effect, 'the rule allows nothing, nor do 4 more of the policy what they say');
});

test('what is asked of policies knows of peers that have no room', () => {
  const rules = times(5, (i) => ({ from: [notApp(i)], ports: [{ port: 80 + i }] }));
  withMost({ peers: { namespace: 3 } }, () => {
    const asked = ask(pod('shop/web', '10.0.0.1'), pod('shop/other', '10.0.0.2', { app: 'x' }), networkPolicy('shop/p', { podSelector: {}, ingress: rules }));
    assert.deepEqual([82, 83].map((port) => asked.allowed('shop/other', 'shop/web', `TCP ${port}`)), [true, false]);
  });
});

test('cluster-wide rules beyond their limit deny everything where they deny', () => {
  const rule = (action: string, i: number) => ({ action, from: [{ pods: { namespaceSelector: {}, podSelector: notApp(i).podSelector } }] });
  const policy = readPolicy(clusterPolicy('guard', { tier: 'Admin', priority: 1, subject: { namespaces: {} }, ingress: [...times(5, (i) => rule('Accept', i)), rule('Deny', 5)] }))!;
  assert.deepEqual(policy.problems, []);
  const [closed] = withMost({ peers: { cluster: 4 } }, () => withinLimits([policy]));
  assert.deepEqual(closed!.rules.ingress!.map(({ peers }) => peers?.length), [1, 1, 1, 1, 0, undefined]);
});
