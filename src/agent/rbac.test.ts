import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { TestServer } from '../apiserver/testkit/server.ts';
import { startDns } from '../dns/index.ts';
import type { KubeObject } from '../kube/api.ts';
import { FakeApi } from '../kube/fake.ts';
import { ClusterRoleBindings, ClusterRoles, Events, Namespaces, NetworkPolicies, RoleBindings, Roles, ServiceAccounts } from '../kube/resources.ts';
import type { Event } from '../kube/types.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { GrantedApi } from './testkit/granted-api.ts';
import { eventually } from './testkit/node.ts';
import { identity, PolicyNode } from './testkit/policy-node.ts';

const text = readFileSync(join(import.meta.dirname, '..', '..', 'examples', 'rbac.yaml'), 'utf8');
const manifest = parseAllDocuments(text).map((document) => document.toJS() as KubeObject);

/** Each of its rights is used, and no other is asked for. */
const isExact = ({ granted, used, refused }: GrantedApi): void =>
  assert.deepEqual({ refused: [...refused], unused: [...granted].filter((right) => !used.has(right)) }, { refused: [], unused: [] });

test('the manifest of rights is one that an API server takes', async () => {
  await using server = await TestServer.start();
  using api = server.client();
  const resources = [ServiceAccounts, ClusterRoles, ClusterRoleBindings, Roles, RoleBindings];
  for (const object of manifest) await api.create(resources.find(({ kind }) => kind === object.kind)! as never, object);
});

/** Of a kind that cannot be denied by. */
const odd = (index: number): KubeObject => {
  const egress = [{ action: index === 0 ? 'Deny' : 'Allow', to: [{ domainNames: ['example.org'] }, { unknown: {} }] }];
  const cluster = { tier: 'Admin', priority: 1, subject: { namespaces: {} }, egress };
  const admin = { priority: 1, subject: { namespaces: {} }, egress };
  const { priority: _, ...baseline } = admin;
  return { metadata: { name: index === 2 ? 'default' : 'odd' }, spec: [cluster, admin, baseline][index] } as KubeObject;
};

test('an agent asks for what examples/rbac.yaml grants it, and for no more', needsRoot, async () => {
  await using it = await PolicyNode.make();
  const { node } = it;
  // Never ready: the Node is told.
  node.config.dnsHealthSocket = join(node.world.directory, 'no-dns.sock');
  const granted = new GrantedApi(node.api, manifest, 'podnet-agent');
  await node.api.create(Namespaces, { metadata: { name: 'kube-system' } });
  await node.startReady(granted);
  // What is not understood is told of, and the same again is counted, as long as it is one agent's turn.
  const half = { podSelector: {}, policyTypes: ['Ingress'], egress: [{}] };
  await it.policy('steady', half as never);
  await it.policy('half', half as never);
  const set = (policyTypes: string[]): Promise<unknown> =>
    node.api.patch(NetworkPolicies, 'half', 'default', { spec: { policyTypes } }, 'merge');
  await eventually(async () => {
    await set(['Ingress', 'Egress']);
    await sleep(50);
    await set(['Ingress']);
    await sleep(50);
    const events = node.api.dump<Event>(Events).filter(({ reason }) => reason === 'PolicyUnderstood');
    assert.ok(events[0]!.count! > 1);
  });
  for (const [index, resource] of clusterPolicyResources.entries()) await node.api.create(resource, odd(index));
  // A pod that comes behind its sandbox, in a namespace that nobody has told of.
  const added = node.addPod('late', identity('nowhere', 'late'));
  await sleep(100);
  await it.schedule('late', { namespace: 'nowhere' });
  await added;
  await eventually(() => isExact(granted));
});

test('DNS asks for what examples/rbac.yaml grants it, and for no more', needsRoot, async () => {
  using world = new TestWorld('agent-rbac');
  const { path, ns: netns } = world.namespace('dns');
  run(path, 'ip', 'address', 'add', '192.0.2.1/32', 'dev', 'lo');
  const granted = new GrantedApi(new FakeApi(), manifest, 'podnet-dns');
  const custom = { configMap: 'kube-system/coredns' };
  const config = { listen: ['192.0.2.1'], podCidrs: [], serviceCidrs: [], pods: 'verified' as const, custom };
  await using _dns = await startDns(config, { api: granted, netns, log: () => {} });
  await eventually(() => isExact(granted));
});
