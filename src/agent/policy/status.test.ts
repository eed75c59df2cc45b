import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, ApiError, type KubeObject, type Resource } from '../../kube/api.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Events, Leases, NetworkPolicies } from '../../kube/resources.ts';
import type { Condition, Event } from '../../kube/types.ts';
import { clusterPolicyResources } from '../../policy/resources.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { PolicySources } from './sources.ts';
import { PolicyTeller, statusLease } from './status.ts';

const cnps = clusterPolicyResources[0]!;

/** What one agent asked of the API, and may not. */
class Access {
  readonly calls: string[] = [];
  /** Those about the Lease. */
  readonly turns: string[] = [];
  readonly api: Api;
  forbidden: RegExp | undefined;

  constructor(fake: FakeApi) {
    const asked = (verb: string, { plural }: Resource, subresource = ''): void => {
      const call = `${verb} ${plural}${subresource && `/${subresource}`}`;
      (plural === 'leases' ? this.turns : this.calls).push(call);
      if (this.forbidden?.test(call)) throw new ApiError(403, 'Forbidden', `${plural} "x" is forbidden: cannot ${verb}`);
    };
    this.api = Object.assign(Object.create(fake) as FakeApi, {
      watch: fake.watch.bind(fake),
      list: async (...args: Parameters<FakeApi['list']>) => (asked('list', args[0]), fake.list(...args)),
      get: async (...args: Parameters<FakeApi['get']>) => (asked('get', args[0]), fake.get(...args)),
      create: async (...args: Parameters<FakeApi['create']>) => (asked('create', args[0]), fake.create(...args)),
      update: async (...args: Parameters<FakeApi['update']>) => (asked('update', args[0]), fake.update(...args)),
      patch: async (...args: Parameters<FakeApi['patch']>) => (
        asked('patch', args[0], args[5]?.subresource), fake.patch(...args)
      ),
    }) as unknown as Api;
  }
}

interface Agent extends Disposable {
  name: string;
  access: Access;
  log: string[];
}

/** The part of an agent that this is about. */
async function agent(fake: FakeApi, nodeName: string, forbidden?: RegExp): Promise<Agent> {
  const access = new Access(fake);
  const log: string[] = [];
  const { api } = access;
  const policy = new PolicySources(api, { nodeName, onError: (kind, error) => log.push(`${kind}: ${error.message}`) });
  policy.start();
  await policy.known;
  access.calls.length = 0;
  access.forbidden = forbidden;
  const election = { durationMs: 1000, renewDeadlineMs: 300, retryMs: 20 };
  const tell = (line: string): void => void log.push(line);
  const teller = new PolicyTeller({ nodeName, api, nodes: () => 3, policy, log: tell, retryMs: 20, election });
  return {
    ...{ name: nodeName, access, log },
    [Symbol.dispose]: () => {
      teller[Symbol.dispose]();
      policy[Symbol.dispose]();
    },
  };
}

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

/** Whose turn it is. */
const holder = async (fake: FakeApi): Promise<string | undefined> =>
  (await fake.get(Leases, statusLease.name, statusLease.namespace)).spec?.holderIdentity;

test('CNP10: one agent says what of a policy is not understood, and that it is mended; no other does', async () => {
  const fake = new FakeApi();
  await fake.create(cnps, guard('Deny'));
  await fake.create(cnps, guard('Deny', 'other'));
  using a = await agent(fake, 'a');
  using b = await agent(fake, 'b');
  using c = await agent(fake, 'c');
  const all = [a, b, c];
  await says(fake, 'False', 1);
  assert.match((await condition(fake))!.message!, /^spec\.egress\[0\]\.to: domainNames can be accepted only/);
  await fake.patch(cnps, 'guard', undefined, { spec: rules('Accept') }, 'merge');
  await says(fake, 'True', 2);
  // Its condition tells of the generation that it is about.
  await fake.patch(cnps, 'guard', undefined, { spec: { priority: 2 } }, 'merge');
  await says(fake, 'True', 3);
  const once = ['get clusternetworkpolicies', 'patch clusternetworkpolicies/status'];
  assert.deepEqual(all.flatMap(({ access }) => access.calls), [...once, ...once, ...once, ...once]);
  // All is said, and nobody asks whose turn it is.
  await eventually(async () => assert.equal(await holder(fake), ''));
  await sleep(200);
  const asked = (): number => all.reduce((sum, { access }) => sum + access.turns.length, 0);
  const before = asked();
  await sleep(100);
  assert.equal(asked(), before);
});

test('NP19: Events about a NetworkPolicy come from the one whose turn it is, also when it is mended', async () => {
  const fake = new FakeApi();
  using first = await agent(fake, 'a');
  using second = await agent(fake, 'b');
  await fake.create(NetworkPolicies, half);
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half']));
  const host = await holder(fake);
  const [event] = fake.dump<Event>(Events);
  assert.deepEqual([event!.type, event!.source], ['Warning', { component: 'podnet', host }]);
  await fake.patch(NetworkPolicies, 'half', 'default', mended, 'merge');
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half', 'PolicyUnderstood half']));
  const [leader, other] = host === 'a' ? [first, second] : [second, first];
  assert.deepEqual([leader.log, other.log, other.access.calls], [[], [], []]);
  await eventually(async () => assert.equal(await holder(fake), ''));
});

test('nothing is asked and nothing is written while all policies are understood', async () => {
  const fake = new FakeApi();
  await fake.create(cnps, guard('Accept'));
  await fake.create(NetworkPolicies, { ...half, spec: { ...half.spec, ...mended.spec } });
  using one = await agent(fake, 'a');
  await sleep(300);
  assert.deepEqual([one.access.calls, one.access.turns], [[], []]);
  // What it does about this one it does after all that it does about the others.
  await fake.create(cnps, guard('Deny', 'later'));
  await eventually(async () => assert.equal((await condition(fake, 'later'))?.status, 'False'));
  assert.deepEqual(one.access.calls, ['get clusternetworkpolicies', 'patch clusternetworkpolicies/status']);
  assert.equal(await condition(fake), undefined);
});

test('an agent that dies is followed by another, which says nothing a second time', async () => {
  const fake = new FakeApi();
  await fake.create(cnps, guard('Deny'));
  await fake.create(NetworkPolicies, half);
  using a = await agent(fake, 'a');
  using b = await agent(fake, 'b');
  await says(fake, 'False', 1);
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half']));
  const [first, second] = (await holder(fake)) === 'a' ? [a, b] : [b, a];
  // As if it were dead: nothing of it comes through any more.
  first.access.forbidden = /./;
  // The next one learns what was said of the NetworkPolicy, and says it not again.
  await eventually(() => assert.deepEqual(second.access.calls, ['get networkpolicies', 'list events']));
  assert.equal(await holder(fake), second.name);
  await fake.patch(cnps, 'guard', undefined, { spec: rules('Accept') }, 'merge');
  await fake.patch(NetworkPolicies, 'half', 'default', mended, 'merge');
  await says(fake, 'True', 2);
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood half', 'PolicyUnderstood half']));
  assert.deepEqual(
    fake.dump<Event>(Events).map(({ source }) => source?.host),
    [first.name, second.name],
  );
  assert.deepEqual(second.log, []);
  assert.ok(first.log.some((line) => line.startsWith('problem: agents cannot agree on which of them says what')));
});

test('agents that may not ask for the Lease say so once, with what to grant, and go on when it is granted', async () => {
  const fake = new FakeApi();
  await fake.create(cnps, guard('Deny'));
  using one = await agent(fake, 'a', /leases/);
  await eventually(() => assert.ok(one.access.turns.length > 5));
  const fault =
    'agents cannot agree on which of them says what of policies is not understood: leases "x" is forbidden: cannot get; grant the agent create on leases of coordination.k8s.io in kube-system, and get and update on podnet-policy-status';
  assert.deepEqual(one.log, [`problem: ${fault}`]);
  one.access.forbidden = undefined;
  await says(fake, 'False', 1);
  assert.deepEqual(one.log, [`problem: ${fault}`, `solved: ${fault}`]);
});

test('what is forbidden is told once with what to grant, keeps nothing else up, and is done when it is granted', async () => {
  const fake = new FakeApi();
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
  const fake = new FakeApi();
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
      await node.startReady();
      if (policyStatus) await says(node.api, 'False', 1);
      else assert.equal(await condition(node.api), undefined);
    },
  );

test('a policy over the limit of networks is told of, and that there is room again, though nothing of it changed', async () => {
  const fake = new FakeApi();
  const wide = (name: string, from: number): KubeObject => {
    const ingress = Array.from({ length: 200 }, (_, i) => ({ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: [`10.${from}.${i}.0/32`] } }] }));
    return { metadata: { name, namespace: 'default' }, spec: { podSelector: {}, ingress } } as KubeObject;
  };
  await fake.create(NetworkPolicies as Resource<KubeObject>, wide('a', 1));
  using _one = await agent(fake, 'a');
  using _other = await agent(fake, 'b');
  await fake.create(NetworkPolicies as Resource<KubeObject>, wide('b', 2));
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood b']));
  await fake.delete(NetworkPolicies, 'a', 'default');
  await eventually(() => assert.deepEqual(reasons(fake), ['PolicyNotUnderstood b', 'PolicyUnderstood b']));
});
