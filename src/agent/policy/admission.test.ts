import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CniError } from '../../cni/errors.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Namespaces, Pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { switchable } from '../testkit/switch.ts';
import { type PodView, podView } from '../watch/pod-view.ts';
import { PolicyAdmission } from './admission.ts';

const pod: Pod = {
  metadata: { namespace: 'default', name: 'a', labels: { app: 'a' } },
  spec: { nodeName: 'me', containers: [] },
};
const identity = { namespace: 'default', name: 'a' };

function admission(
  api = new FakeApi() as FakeApi | ReturnType<typeof switchable>['api'],
  known = new Map<string, PodView>(),
  knowsNamespace: (name: string) => boolean = () => true,
) {
  return new PolicyAdmission({ api, nodeName: 'me', known: (key) => known.get(key), knowsNamespace, waitMs: 100 });
}

const refusedFor =
  (why: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof CniError);
    assert.equal(error.code, 11);
    assert.match(error.message, /^there are network policies, and which of them isolate the pod cannot be told: /);
    assert.match(error.message, why);
    assert.match(error.details!, /not let out without its isolation; the runtime tries again/);
    return true;
  };

test('NP15: what the watch has told of a pod is enough; a pod that it has not told of is asked for', async () => {
  const { api, setUp } = switchable(new FakeApi());
  const known = new Map([['default/a', podView(pod, 'me')]]);
  setUp(false);
  assert.deepEqual((await admission(api, known).admit(identity, undefined))?.labels, { app: 'a' });
  setUp(true);
  await api.create(Pods, pod);
  assert.deepEqual((await admission(api).admit(identity, undefined))?.labels, { app: 'a' });
});

test('a container that is no pod is nobody that policies speak of', async () => {
  assert.equal(await admission().admit({}, undefined), undefined);
  assert.equal(await admission().admit({ name: 'a' }, undefined), undefined);
});

test('NP15: a pod whose labels cannot be had is not attached, and the error says why', async () => {
  await assert.rejects(admission().admit(identity, undefined), refusedFor(/: there is no Pod default\/a in the API$/));
  const { api, setUp } = switchable(new FakeApi());
  setUp(false);
  await assert.rejects(
    admission(api).admit(identity, undefined),
    refusedFor(/: the API does not tell of the Pod default\/a: connect ECONNREFUSED/),
  );
  const never = new Promise<void>(() => {});
  await assert.rejects(
    admission().admit(identity, never),
    refusedFor(/has not told of the pods and namespaces of the cluster yet$/),
  );
});

test('a pod of the same name that was there before, or is elsewhere, is not taken for it', async () => {
  const api = new FakeApi();
  const { metadata } = await api.create(Pods, pod);
  const former = new Map([['default/a', podView(pod, 'me').with({ uid: 'former', labels: { app: 'former' } })]]);
  assert.deepEqual((await admission(api, former).admit({ ...identity, uid: metadata.uid! }, undefined))?.labels, { app: 'a' });
  const elsewhere = new Map([['default/a', podView(pod, 'me').with({ node: 'other', labels: { app: 'former' } })]]);
  assert.deepEqual((await admission(api, elsewhere).admit(identity, undefined))?.labels, {
    app: 'a',
  });
  await assert.rejects(
    admission(api, former).admit({ ...identity, uid: 'next' }, undefined),
    refusedFor(/has the uid .*, the one to be attached next: it was replaced$/),
  );
});

test('a static pod is waited for: its Pod comes a moment after its sandbox', async () => {
  const known = new Map<string, PodView>();
  const admitted = admission(new FakeApi(), known).admit({ ...identity, uid: 'hash' }, Promise.resolve());
  setTimeout(() => known.set('default/a', podView(pod, 'me').with({ uid: 'hash' })), 20);
  assert.equal((await admitted)?.uid, 'hash');
});

test('NP15: the labels of a namespace, which come by another watch, are waited for; a namespace that does not exist has none', async () => {
  const known = new Map([['default/a', podView(pod, 'me')]]);
  const { api, setUp } = switchable(new FakeApi());
  assert.equal(await admission(api, known, () => false).admit(identity, undefined), known.get('default/a'));
  await api.create(Namespaces, { metadata: { name: 'default', labels: { tenant: 'a' } } });
  const told = new Set<string>();
  setTimeout(() => told.add('default'), 20);
  assert.equal(await admission(api, known, (name) => told.has(name)).admit(identity, undefined), known.get('default/a'));
  assert.ok(told.has('default'));
  const untold = (): Promise<unknown> => admission(api, known, () => false).admit(identity, undefined);
  await assert.rejects(untold(), refusedFor(/: the API has not told of the labels of Namespace default yet$/));
  setUp(false);
  await assert.rejects(untold(), refusedFor(/ of Namespace default yet: connect ECONNREFUSED/));
});
