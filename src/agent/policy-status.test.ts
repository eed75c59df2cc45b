import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Api, ApiError, type KubeObject, type Resource } from '../kube/api.ts';
import { FakeApi } from '../kube/fake.ts';
import { Informer } from '../kube/informer.ts';
import { Events, NetworkPolicies, Nodes } from '../kube/resources.ts';
import type { Condition, Event, Node } from '../kube/types.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { needsRoot } from '../testing/root.ts';
import { PolicySources } from './policy-sources.ts';
import { PolicyTeller } from './policy-status.ts';
import { eventually, TestNode } from './testkit/node.ts';
import { nodeView } from './views.ts';

const cnps = clusterPolicyResources[0]!;

/** What one agent asked of the API, and may not. */
class Access {
  readonly calls: string[] = [];
  readonly api: Api;
  forbidden: RegExp | undefined;

  constructor(fake: FakeApi) {
    const asked = (verb: string, { plural }: Resource, subresource = ''): void => {
      const call = `${verb} ${plural}${subresource && `/${subresource}`}`;
      this.calls.push(call);
      if (this.forbidden?.test(call)) throw new ApiError(403, 'Forbidden', `${plural} "x" is forbidden: cannot ${verb}`);
    };
    this.api = Object.assign(Object.create(fake) as FakeApi, {
      watch: fake.watch.bind(fake),
      list: async (...args: Parameters<FakeApi['list']>) => (asked('list', args[0]), fake.list(...args)),
      get: async (...args: Parameters<FakeApi['get']>) => (asked('get', args[0]), fake.get(...args)),
      create: async (...args: Parameters<FakeApi['create']>) => (asked('create', args[0]), fake.create(...args)),
      patch: async (...args: Parameters<FakeApi['patch']>) => (
        asked('patch', args[0], args[5]?.subresource), fake.patch(...args)
      ),
    }) as unknown as Api;
  }
}

interface Agent extends Disposable {
  access: Access;
  log: string[];
}

/** The part of an agent that this is about. */
async function agent(fake: FakeApi, nodeName: string, forbidden?: RegExp): Promise<Agent> {
  const access = new Access(fake);
  const log: string[] = [];
  const { api } = access;
  const nodes = new Informer(api, Nodes, { project: nodeView }).start();
  const policy = new PolicySources(api, { nodeName, onError: (kind, error) => log.push(`${kind}: ${error.message}`) });
  policy.start();
  await Promise.all([nodes.synced, policy.known]);
  access.calls.length = 0;
  access.forbidden = forbidden;
  const teller = new PolicyTeller({ nodeName, api, nodes, policy, log: (line) => log.push(line), retryMs: 20 });
  return {
    ...{ access, log },
    [Symbol.dispose]: () => {
      teller[Symbol.dispose]();
      policy[Symbol.dispose]();
      nodes.stop();
    },
  };
}

const ready = (status: string): object => ({ status: { conditions: [{ type: 'Ready', status }] } });

async function cluster(...names: string[]): Promise<FakeApi> {
  const fake = new FakeApi();
  for (const name of names) await fake.create(Nodes, { metadata: { name }, ...ready('True') } as Node);
  return fake;
}

const setReady = (fake: FakeApi, name: string, status: string): Promise<Node> =>
  fake.patch(Nodes, name, undefined, ready(status), 'merge', { subresource: 'status' });

/** Names can be accepted only. */
const rules = (action: string): object => ({ egress: [{ action, to: [{ domainNames: ['example.org'] }] }] });

const guard = (action: string, name = 'guard'): KubeObject =>
  ({ metadata: { name }, spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, ...rules(action) } }) as KubeObject;

const half = {
  metadata: { name: 'half', namespace: 'default' },
  spec: { podSelector: {}, policyTypes: ['Ingress'], egress: [{}] },
};
const mended = { spec: { policyTypes: ['Ingress', 'Egress'] } };

async function condition(fake: FakeApi, name = 'guard'): Promise<Condition | undefined> {
  const { status } = (await fake.get(cnps, name)) as { status?: { conditions?: Condition[] } };
  return status?.conditions?.find(({ type }) => type === 'PodnetUnderstood');
}

const reasons = (fake: FakeApi): string[] =>
  fake.dump<Event>(Events).map(({ reason, involvedObject }) => `${reason} ${involvedObject.name}`);

const says = (fake: FakeApi, status: string, generation?: number): Promise<void> =>
  eventually(async () => {
    const { status: said, observedGeneration } = (await condition(fake)) ?? {};
    assert.deepEqual([said, generation && observedGeneration], [status, generation]);
  });

test('CNP10: the agent of the first Ready node by name says what of a policy is not understood, and that it is mended; no other does', async () => {
  const fake = await cluster('c', 'b', 'a');
  await setReady(fake, 'a', 'False');
  await fake.create(cnps, guard('Deny'));
  using a = await agent(fake, 'a');
  using b = await agent(fake, 'b');
  using c = await agent(fake, 'c');
  await says(fake, 'False', 1);
  assert.match((await condition(fake))!.message!, /^spec\.egress\[0\]\.to: domainNames can be accepted only/);
  await fake.patch(cnps, 'guard', undefined, { spec: rules('Accept') }, 'merge');
  await says(fake, 'True', 2);
  // Its condition tells of the generation that it is about.
  await fake.patch(cnps, 'guard', undefined, { spec: { priority: 2 } }, 'merge');
  await says(fake, 'True', 3);
  const once = ['get clusternetworkpolicies', 'patch clusternetworkpolicies/status'];
  assert.deepEqual([a.access.calls, b.access.calls, c.access.calls], [[], [...once, ...once, ...once], []]);
});

test('NP19: Events about a NetworkPolicy come from the one whose turn it is, also when it is mended', async () => {
  const fake = await cluster('a', 'b');
  using first = await agent(fake, 'a');
  using second = await agent(fake, 'b');
  await fake.create(NetworkPolicies, half);
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half']));
  const [event] = fake.dump<Event>(Events);
  assert.deepEqual([event!.type, event!.source], ['Warning', { component: 'podnet', host: 'a' }]);
  await fake.patch(NetworkPolicies, 'half', 'default', mended, 'merge');
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half', 'PolicyUnderstood half']));
  assert.deepEqual([first.log, second.log, second.access.calls], [[], [], []]);
});

test('nothing is asked and nothing is written while all policies are understood', async () => {
  const fake = await cluster('a');
  await fake.create(cnps, guard('Accept'));
  await fake.create(NetworkPolicies, { ...half, spec: { ...half.spec, ...mended.spec } });
  using one = await agent(fake, 'a');
  // What it does about this one it does after all that it does about the others.
  await fake.create(cnps, guard('Deny', 'later'));
  await eventually(async () => assert.equal((await condition(fake, 'later'))?.status, 'False'));
  assert.deepEqual(one.access.calls, ['get clusternetworkpolicies', 'patch clusternetworkpolicies/status']);
  assert.equal(await condition(fake), undefined);
});

test('when the turn moves, the next agent does it, and says nothing a second time', async () => {
  const fake = await cluster('a', 'b');
  await fake.create(cnps, guard('Deny'));
  await fake.create(NetworkPolicies, half);
  using first = await agent(fake, 'a');
  using second = await agent(fake, 'b');
  await says(fake, 'False', 1);
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half']));
  await setReady(fake, 'a', 'Unknown');
  // It learns what was said of the NetworkPolicy, and says it not again.
  await eventually(() => assert.deepEqual(second.access.calls, ['get networkpolicies', 'list events']));
  await fake.patch(cnps, 'guard', undefined, { spec: rules('Accept') }, 'merge');
  await fake.patch(NetworkPolicies, 'half', 'default', mended, 'merge');
  await says(fake, 'True', 2);
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half', 'PolicyUnderstood half']));
  assert.deepEqual(
    fake.dump<Event>(Events).map(({ source }) => source?.host),
    ['a', 'b'],
  );

  await fake.patch(Nodes, 'b', undefined, { metadata: { labels: { zone: 'x' } } }, 'merge');
  const { length } = second.access.calls;
  await setReady(fake, 'a', 'True');
  await fake.patch(NetworkPolicies, 'half', 'default', { spec: { policyTypes: ['Egress'], ingress: [{}] } }, 'merge');
  await eventually(() => assert.equal(reasons(fake).length, 3));
  assert.deepEqual([fake.dump<Event>(Events)[2]!.source?.host, second.access.calls.length], ['a', length]);
  await fake.delete(Nodes, 'a');
  await fake.patch(cnps, 'guard', undefined, { spec: rules('Deny') }, 'merge');
  await says(fake, 'False', 3);
  await eventually(() => assert.ok(second.access.calls.length > length));
  assert.deepEqual([first.log, second.log], [[], []]);
});

test('what is forbidden is told once with what to grant, keeps nothing else up, and is done when it is granted', async () => {
  const fake = await cluster('a');
  await fake.create(cnps, guard('Deny'));
  await fake.create(cnps, guard('Deny', 'other'));
  await fake.create(NetworkPolicies, half);
  using one = await agent(fake, 'a', /^(patch clusternetworkpolicies\/status|create events)$/);
  const { access, log } = one;
  const tries = (call: string): number => access.calls.filter((seen) => seen === call).length;
  await eventually(() => {
    assert.ok(tries('patch clusternetworkpolicies/status') > 5);
    assert.ok(tries('create events') > 2);
  });
  const faults = [
    'problem: what of networkpolicies is not understood cannot be said on them: events "x" is forbidden: cannot create; grant the agent get on networkpolicies, and list, create and patch on events',
    'problem: what of clusternetworkpolicies is not understood cannot be said on them: clusternetworkpolicies "x" is forbidden: cannot patch; grant the agent get on clusternetworkpolicies, and patch on clusternetworkpolicies/status',
  ];
  assert.deepEqual(log, faults);

  access.forbidden = /^create events$/;
  await says(fake, 'False', 1);
  await eventually(async () => assert.equal((await condition(fake, 'other'))?.status, 'False'));
  access.forbidden = undefined;
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half']));
  await eventually(() =>
    assert.deepEqual(log.toSorted(), [...faults, ...faults.map((line) => line.replace('problem', 'solved'))].sort()),
  );
});

test('an agent that is being stopped asks nothing more', async () => {
  const fake = await cluster('a');
  await fake.create(cnps, guard('Deny'));
  const one = await agent(fake, 'a', /patch/);
  await eventually(() => assert.ok(one.access.calls.length > 4));
  one[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 10));
  const { length } = one.access.calls;
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(one.access.calls.length, length);
});

for (const policyStatus of [true, false])
  test(
    `CNP10: a whole agent ${policyStatus ? 'says it' : 'leaves it to others where policyStatus is false'}`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ policyStatus });
      await node.api.create(cnps, guard('Deny'));
      await setReady(node.api, 'me', 'True');
      await node.startReady();
      if (policyStatus) await says(node.api, 'False', 1);
      else assert.equal(await condition(node.api), undefined);
    },
  );
