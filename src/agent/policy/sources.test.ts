import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Api, ApiError, type KubeObject } from '../../kube/api.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Namespaces, NetworkPolicies, Pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { policyName } from '../../policy/model.ts';
import { clusterPolicyResources } from '../../policy/resources.ts';
import { eventually } from '../testkit/node.ts';
import { podView, samePod } from '../watch/pod-view.ts';
import { PolicySources } from './sources.ts';

/** An API that answers 404 for kinds whose CustomResourceDefinition is not installed. */
function withoutDefinitions(): { api: FakeApi; shown: Api; install: () => void } {
  const api = new FakeApi();
  let installed = false;
  const refuse = (group: string): void => {
    if (!installed && group === 'policy.networking.k8s.io')
      throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  };
  const shown: Api = Object.create(api, {
    list: {
      value: (resource: never, options: never) => {
        refuse((resource as { group: string }).group);
        return api.list(resource, options);
      },
    },
    watch: {
      value: (resource: { group: string }, onEvent: never, options: { onEnd(error: Error): void }) => {
        try {
          refuse(resource.group);
        } catch (error) {
          setImmediate(() => options.onEnd(error as Error));
          return { close() {} };
        }
        return api.watch(resource as never, onEvent, options as never);
      },
    },
  });
  return { api, shown, install: () => void (installed = true) };
}

const policy = (name: string): KubeObject =>
  ({ metadata: { namespace: 'default', name }, spec: { podSelector: {}, policyTypes: ['Ingress'] } }) as KubeObject;

const kinds = (sources: PolicySources): string[] => sources.informers.map(({ resource }) => resource.plural);

test('a server without cluster-wide policies is in sync, no error is told, and policies are heard of once it has them', async () => {
  const { api, shown, install } = withoutDefinitions();
  using sources = new PolicySources(shown, { nodeName: 'me', onError: (kind, error) => assert.fail(`${kind}: ${error}`) });
  sources.start();
  await sources.known;
  assert.deepEqual([sources.isSynced, kinds(sources)], [true, ['networkpolicies']]);
  const [resource] = clusterPolicyResources;
  await api.create(resource!, {
    metadata: { name: 'guard' },
    spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} } },
  } as KubeObject);
  install();
  await eventually(() => assert.equal(sources.count, 1));
  assert.deepEqual(
    sources.policies.flatMap((informer) => informer.list().map(policyName)),
    ['ClusterNetworkPolicy guard'],
  );
});

test('pods and namespaces are watched while there are policies, and a start waits for them', async () => {
  const api = new FakeApi();
  await api.create(Namespaces, { metadata: { name: 'default', labels: { team: 'a' } } });
  await api.create(Pods, { metadata: { namespace: 'default', name: 'web' }, spec: { containers: [] } });
  using sources = new PolicySources(api, {
    nodeName: 'me',
    lingerMs: 20,
    onError: (kind, error) => assert.fail(`${kind}: ${error}`),
  });
  sources.start();
  await sources.known;
  const isOpen = (): boolean => sources.world !== undefined;
  assert.equal(isOpen(), false, 'nobody asks for pods');
  await api.create(NetworkPolicies, policy('deny') as never);
  await eventually(() => assert.equal(sources.count, 1));
  await sources.openWorld();
  const { pods, namespaces } = sources.world!;
  assert.deepEqual(
    [pods.get('default/web')?.name, namespaces.get('default')],
    ['web', { team: 'a', 'kubernetes.io/metadata.name': 'default' }],
  );

  sources.closeWorld();
  await sources.openWorld();
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(sources.world?.pods, pods, 'asked for again in time');
  sources.closeWorld();
  await eventually(() => assert.equal(isOpen(), false));

  using again = new PolicySources(api, { nodeName: 'me', onError: (kind, error) => assert.fail(`${kind}: ${error}`) });
  again.start();
  await again.known;
  assert.equal(again.world?.pods.size, 1);
});

test('of a pod stays what policies read; a static one has the uid that the node knows it by', () => {
  const pod: Pod = {
    metadata: {
      namespace: 'shop',
      name: 'db-0',
      uid: 'u1',
      labels: { app: 'db' },
      annotations: { 'kubernetes.io/config.mirror': 'hash' },
    },
    spec: {
      nodeName: 'me',
      containers: [{ name: 'db', ports: [{ name: 'sql', containerPort: 5432 }, { containerPort: 9000 }] }],
    },
    status: { phase: 'Running', podIPs: [{ ip: '10.1.0.2' }, { ip: 'fd01::2' }] },
  };
  const view = podView(pod, 'me');
  assert.deepEqual(
    { ...view },
    {
      ...{ namespace: 'shop', name: 'db-0', labels: { app: 'db' }, node: 'me', ips: '10.1.0.2 fd01::2', created: 0 },
      ...{ hostNetwork: false, ended: false, ports: [{ name: 'sql', protocol: 'TCP', number: 5432 }], uid: 'hash' },
    },
  );
  assert.deepEqual(view.addresses.map(String), ['10.1.0.2', 'fd01::2']);
  assert.equal(podView(pod, 'other').uid, undefined);
  assert.equal(podView({ ...pod, metadata: { ...pod.metadata, labels: { app: 'db' } } }, 'me').labels, view.labels, 'kept once');
  const ready = { ...pod, status: { ...pod.status, conditions: [{ type: 'Ready', status: 'True' }] } };
  assert.equal(samePod(podView(ready, 'me'), view), true);
  const changes: Partial<Pod>[] = [
    { status: { ...pod.status, phase: 'Failed' } },
    { status: { podIPs: [{ ip: '10.1.0.2' }] } },
    { metadata: { ...pod.metadata, labels: { app: 'web' } } },
    { spec: { containers: [] } },
  ];
  for (const change of changes) assert.equal(samePod(podView({ ...pod, ...change }, 'me'), view), false, JSON.stringify(change));
});

test('F13, P2: a kind of policies that a start does not find is asked for once more, if the kernel holds what followed from it, and no other', async () => {
  const { api, shown, install } = withoutDefinitions();
  await api.create(NetworkPolicies, policy('deny') as never);
  await api.create(clusterPolicyResources[0]!, {
    metadata: { name: 'guard' },
    spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} } },
  } as KubeObject);
  const errors: string[] = [];
  const start = (formerKinds: readonly string[], confirmEmptyMs: number, onTold = (): void => {}) => {
    const onError = (kind: string): void => {
      errors.push(kind);
      onTold();
    };
    const sources = new PolicySources(shown, { nodeName: 'me', confirmEmptyMs, formerKinds: () => new Set(formerKinds), onError });
    sources.start();
    return sources;
  };
  for (const known of [['networkpolicies'], ['networkpolicies', 'adminnetworkpolicies']]) {
    using sources = start(known, known.length === 1 ? 60_000 : 50);
    await sources.known;
    assert.equal(sources.count, 1);
  }
  assert.deepEqual(errors, ['adminnetworkpolicies'], 'believed at once, and at the second time');
  // At the moment of the doubt, and not later: a busy machine may give this process no turn within any time.
  let doubted = false;
  using back = start(['networkpolicies', 'clusternetworkpolicies'], 1000, () => {
    doubted = !back.isSynced;
    install();
  });
  await back.known;
  assert.deepEqual([errors, doubted], [['adminnetworkpolicies', 'clusternetworkpolicies'], true]);
  assert.equal(back.count, 2);
});

test('F13, P2: an API that has lost all policies at a start is asked once more before it is believed, if the kernel holds some', async () => {
  const api = new FakeApi();
  const errors: string[] = [];
  let onTold = (): void => assert.equal(lost.isSynced, false);
  const onError = (kind: string, error: Error): void => {
    errors.push(`${kind}: ${error.message}`);
    onTold();
  };
  const options = { nodeName: 'me', confirmEmptyMs: 60, formerKinds: () => new Set<string>(), onError };
  const begun = performance.now();
  using lost = new PolicySources(api, options);
  lost.start();
  await lost.known;
  assert.ok(performance.now() - begun >= 59);
  assert.deepEqual([lost.isSynced, lost.count, lost.world], [true, 0, undefined]);
  assert.deepEqual(errors, [
    'policies: the API server tells of none, but there were some before this start: it is asked again in 0.06 s',
  ]);

  onTold = (): void => void api.create(NetworkPolicies, policy('deny') as never);
  using back = new PolicySources(api, { ...options, confirmEmptyMs: 300 });
  back.start();
  await back.known;
  assert.equal(errors.length, 2);
  assert.deepEqual([back.count, back.world?.pods.isSynced], [1, true], 'with the world, as any start with policies');
});
