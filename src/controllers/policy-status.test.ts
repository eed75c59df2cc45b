import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestServer } from '../apiserver/testkit/server.ts';
import type { Api, KubeObject, Resource } from '../kube/api.ts';
import { Events, NetworkPolicies } from '../kube/resources.ts';
import type { Condition, Event, NetworkPolicySpec } from '../kube/types.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { type Running, SharedInformers } from './context.ts';
import { eventually } from './harness.ts';
import { policyStatusController } from './policy-status.ts';

const [cnps, anps, banps] = clusterPolicyResources;

interface WithStatus extends KubeObject {
  spec?: object;
  status?: { conditions?: Condition[] };
}

describe('status of policies', () => {
  let server: TestServer;
  let api: Api;
  let controller: Running;
  let informers: SharedInformers;
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  const errors: string[] = [];

  const start = async (): Promise<void> => {
    informers = new SharedInformers(api);
    const onError = (name: string, key: string, error: Error): void => void errors.push(`${name} ${key}: ${error.message}`);
    controller = policyStatusController({ api, informers, now: () => nowMs, onError });
    await controller.ready;
  };
  const stop = (): void => {
    controller.stop();
    informers.stop();
  };
  before(async () => {
    server = await TestServer.start();
    api = server.api.localApi('policy-status');
    await start();
  });
  after(async () => {
    stop();
    await server[Symbol.asyncDispose]();
    assert.deepEqual(errors, []);
  });

  const condition = async (resource = cnps!, name = 'guard'): Promise<Condition | undefined> =>
    ((await api.get(resource, name)) as WithStatus).status?.conditions?.find(({ type }) => type === 'PodnetUnderstood');
  const events = async (name: string): Promise<Event[]> =>
    (await api.list(Events, { namespace: 'default', fieldSelector: `involvedObject.name=${name}` })).items;
  const subject = { namespaces: {} };
  const egress = (action: string): object => ({ egress: [{ action, to: [{ domainNames: ['example.org'] }] }] });

  test('CNP10: a cluster-wide policy says that all of it is understood, or what is not, where, and what that means for traffic', async () => {
    const spec = { tier: 'Admin', priority: 1, subject };
    await api.create(cnps!, { metadata: { name: 'guard' }, spec: { ...spec, ...egress('Accept') } } as KubeObject);
    await eventually(async () => assert.equal((await condition())?.status, 'True'));
    const good = await condition();
    assert.deepEqual(good, {
      ...{ type: 'PodnetUnderstood', status: 'True', reason: 'Understood', message: 'all of it is understood' },
      ...{ observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' },
    });

    // The definition lets it through: only its text says that names can be accepted only.
    nowMs += 60_000;
    await api.patch(cnps!, 'guard', undefined, { spec: egress('Deny') }, 'merge');
    await eventually(async () => assert.equal((await condition())?.status, 'False'));
    assert.deepEqual(await condition(), {
      ...{ type: 'PodnetUnderstood', status: 'False', reason: 'NotUnderstood', observedGeneration: 2 },
      message: 'spec.egress[0].to: domainNames can be accepted only, not be told to Deny; the rule denies everything',
      lastTransitionTime: '2026-01-01T00:01:00Z',
    });

    nowMs += 60_000;
    await api.patch(cnps!, 'guard', undefined, { spec: egress('Accept') }, 'merge');
    await eventually(async () => assert.equal((await condition())?.observedGeneration, 3));
    assert.deepEqual([(await condition())?.status, (await condition())?.lastTransitionTime], ['True', '2026-01-01T00:02:00Z']);
  });

  test("others' conditions stay, and one that somebody changes is put right", async () => {
    const theirs = {
      type: 'Ready-In-Zone',
      status: 'True',
      reason: 'X',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const write = (conditions: object[]): Promise<KubeObject> =>
      api.patch(cnps!, 'guard', undefined, { status: { conditions } }, 'merge', { subresource: 'status' });
    await write([theirs]);
    await eventually(async () => assert.ok(await condition()));
    const { status } = (await api.get(cnps!, 'guard')) as WithStatus;
    assert.deepEqual(
      status?.conditions?.map(({ type }) => type),
      ['Ready-In-Zone', 'PodnetUnderstood'],
    );
    await write([theirs, { ...(await condition()), status: 'False' }]);
    await eventually(async () => assert.equal((await condition())?.status, 'True'));
  });

  test('AdminNetworkPolicy and BaselineAdminNetworkPolicy say it too', async () => {
    await api.create(anps!, { metadata: { name: 'a' }, spec: { priority: 1, subject, ...egress('Deny') } } as KubeObject);
    await api.create(banps!, { metadata: { name: 'default' }, spec: { subject } } as KubeObject);
    await eventually(async () => assert.equal((await condition(anps, 'a'))?.status, 'False'));
    await eventually(async () => assert.equal((await condition(banps, 'default'))?.status, 'True'));
  });

  const rules: NetworkPolicySpec = { podSelector: {}, policyTypes: ['Ingress'], egress: [{}] };

  test('NP19: an Event about a NetworkPolicy says it once, another text anew, and when it is mended', async () => {
    await api.create(NetworkPolicies, { metadata: { name: 'half', namespace: 'default' }, spec: rules });
    await eventually(async () => assert.equal((await events('half')).length, 1));
    const [first] = await events('half');
    assert.deepEqual(
      [first!.type, first!.reason, first!.message],
      ['Warning', 'PolicyNotUnderstood', 'spec.egress: policyTypes is ["Ingress"]; the egress rules are not looked at'],
    );
    const patch = (change: object): Promise<KubeObject> => api.patch(NetworkPolicies, 'half', 'default', change, 'merge');
    await patch({ metadata: { labels: { a: 'b' } } });
    await patch({ spec: { policyTypes: ['Egress'], ingress: [{}] } });
    await eventually(async () => assert.equal((await events('half')).length, 2));
    await patch({ spec: { policyTypes: ['Egress', 'Ingress'] } });
    await eventually(async () => assert.equal((await events('half')).length, 3));
    const all = await events('half');
    assert.deepEqual(
      all.map(({ count }) => count),
      [1, 1, 1],
    );
    assert.deepEqual(all.map(({ reason }) => reason).sort(), ['PolicyNotUnderstood', 'PolicyNotUnderstood', 'PolicyUnderstood']);
  });

  test('a controller that starts again writes nothing: neither conditions nor Events that stand there', async () => {
    await api.create(NetworkPolicies, { metadata: { name: 'again', namespace: 'default' }, spec: rules });
    await eventually(async () => assert.equal((await events('again')).length, 1));
    const versions = async (): Promise<(string | undefined)[]> =>
      (await Promise.all([...clusterPolicyResources, Events].map((one) => api.list(one as typeof Events)))).flatMap(({ items }) =>
        items.map(({ metadata }) => metadata.resourceVersion),
      );
    const before = await versions();
    stop();
    await start();
    // What it does about this policy it does after what it does about the others.
    await api.create(NetworkPolicies, { metadata: { name: 'last', namespace: 'default' }, spec: rules });
    await eventually(async () => assert.equal((await events('last')).length, 1));
    const [last] = await events('last');
    assert.deepEqual(
      (await versions()).filter((version) => version !== last!.metadata.resourceVersion),
      before,
    );
  });

  test('policies over the limit of networks say so, with the size, and say that all is well when others of the namespace leave them room', async () => {
    const rules = (from: number) =>
      Array.from({ length: 200 }, (_, i) => ({ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: [`10.${from}.${i}.0/32`] } }] }));
    const create = (name: string, from: number): Promise<KubeObject> => {
      const spec = { podSelector: {}, ingress: rules(from) };
      return api.create(NetworkPolicies as Resource<KubeObject>, { metadata: { name, namespace: 'default' }, spec } as KubeObject);
    };
    await create('wide-a', 1);
    await create('wide-b', 2);
    await eventually(async () => {
      const [event] = await events('wide-b');
      assert.equal(event?.reason, 'PolicyNotUnderstood');
      assert.match(event!.message!, /^spec\.ingress\[\d+\]: the networks that rules of all NetworkPolicies in namespace default name overlap 320000 times, more than the 100000/);
    });
    assert.deepEqual(await events('wide-a'), []);
    await api.delete(NetworkPolicies, 'wide-a', 'default');
    await eventually(async () => assert.ok((await events('wide-b')).some(({ reason }) => reason === 'PolicyUnderstood')));
    await api.delete(NetworkPolicies, 'wide-b', 'default');
  });
});
