import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, ApiError } from './api.ts';
import { FakeApi } from './fake.ts';
import { LeaderElection, type LeaderElectionOptions } from './leader-election.ts';
import { Leases } from './resources.ts';

async function eventually(check: () => void | Promise<void>, withinMs = 20_000): Promise<void> {
  for (const end = performance.now() + withinMs; ; ) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(5);
    }
  }
}

const lease = async (fake: FakeApi) => (await fake.get(Leases, 'turn', 'kube-system')).spec!;

/** A candidate, and what befell it. */
class Candidate implements Disposable {
  readonly told: string[] = [];
  readonly calls: string[] = [];
  readonly election: LeaderElection;
  fault: Error | undefined;

  constructor(fake: FakeApi, identity: string, more: Partial<LeaderElectionOptions> = {}) {
    const ask = <T>(call: string, work: () => Promise<T>): Promise<T> => {
      this.calls.push(call);
      return this.fault ? Promise.reject(this.fault) : work();
    };
    const api = {
      get: (...args: Parameters<FakeApi['get']>) => ask('get', () => fake.get(...args)),
      create: (...args: Parameters<FakeApi['create']>) => ask('create', () => fake.create(...args)),
      update: (...args: Parameters<FakeApi['update']>) => ask('update', () => fake.update(...args)),
    } as unknown as Api;
    this.election = new LeaderElection({
      ...{ api, namespace: 'kube-system', name: 'turn', identity, durationMs: 1000, renewDeadlineMs: 300, retryMs: 20 },
      onStarted: () => this.told.push('started'),
      onStopped: () => this.told.push('stopped'),
      onError: ({ message }) => this.told.push(message),
      onWell: () => {},
      ...more,
    });
  }

  [Symbol.dispose](): void {
    this.election.stop();
  }
}

test('of several candidates one leads and renews its Lease without reading it; who gives it back is followed by another', async () => {
  const fake = new FakeApi();
  const all = ['a', 'b', 'c'].map((name) => new Candidate(fake, name));
  for (const { election } of all) election.start();
  const leaders = (): Candidate[] => all.filter(({ election }) => election.isLeader);
  await eventually(() => assert.equal(leaders().length, 1));
  const [first] = leaders();
  const acquired = await lease(fake);
  assert.deepEqual([acquired.leaseDurationSeconds, acquired.leaseTransitions], [1, 0]);
  first!.calls.length = 0;
  await eventually(async () => assert.ok((await lease(fake)).renewTime! > acquired.renewTime!));
  await eventually(() => assert.ok(first!.calls.length > 3));
  assert.deepEqual([...new Set(first!.calls)], ['update']);
  assert.equal((await lease(fake)).acquireTime, acquired.acquireTime);
  first!.election.stop();
  await eventually(() => assert.equal(leaders().length, 1));
  assert.notEqual(leaders()[0], first);
  assert.equal((await lease(fake)).leaseTransitions, 1);
  assert.deepEqual(first!.told, ['started', 'stopped']);
  for (const one of all) one.election.stop();
});

test('who dies is followed when its Lease was seen unchanged for its duration, whatever the clocks say', async () => {
  const fake = new FakeApi();
  const spec = { holderIdentity: 'dead', leaseDurationSeconds: 1, leaseTransitions: 4, renewTime: '2100-01-01T00:00:00.000000Z' };
  await fake.create(Leases, { metadata: { namespace: 'kube-system', name: 'turn' }, spec });
  using next = new Candidate(fake, 'b');
  const from = performance.now();
  next.election.start();
  await eventually(() => assert.equal(next.election.isLeader, true));
  assert.ok(performance.now() - from >= 1000);
  const { holderIdentity, leaseTransitions } = await lease(fake);
  assert.deepEqual([holderIdentity, leaseTransitions], ['b', 5]);
});

test('who begins anew under its name goes on at once', async () => {
  const fake = new FakeApi();
  const spec = { holderIdentity: 'a', leaseDurationSeconds: 3600, leaseTransitions: 4, renewTime: '2100-01-01T00:00:00.000000Z' };
  await fake.create(Leases, { metadata: { namespace: 'kube-system', name: 'turn' }, spec });
  using same = new Candidate(fake, 'a');
  using other = new Candidate(fake, 'b');
  for (const { election } of [same, other]) election.start();
  await eventually(() => assert.equal(same.election.isLeader, true));
  await eventually(() => assert.ok(other.calls.length > 5));
  assert.deepEqual([(await lease(fake)).leaseTransitions, other.told, [...new Set(other.calls)]], [4, [], ['get']]);
});

test('who cannot renew stops before another begins; who was replaced stops with the next renewal', async () => {
  const fake = new FakeApi();
  using first = new Candidate(fake, 'a');
  first.election.start();
  await eventually(() => assert.equal(first.election.isLeader, true));
  using second = new Candidate(fake, 'b', { onStarted: () => second.told.push(`started, ${first.election.isLeader}`) });
  second.election.start();
  first.fault = new ApiError(503, 'ServiceUnavailable', 'away');
  await eventually(() => assert.deepEqual(second.told, ['started, false']));
  assert.deepEqual([...new Set(first.told)], ['started', 'away', 'stopped']);
  const present = await fake.get(Leases, 'turn', 'kube-system');
  await fake.update(Leases, { ...present, spec: { ...present.spec, holderIdentity: 'x', leaseDurationSeconds: 3600 } });
  await eventually(() => assert.deepEqual(second.told, ['started, false', 'stopped']));
});

test('many candidates ask seldom', async () => {
  const fake = new FakeApi();
  const spec = { holderIdentity: 'a', leaseDurationSeconds: 3600, leaseTransitions: 0, renewTime: '2100-01-01T00:00:00.000000Z' };
  await fake.create(Leases, { metadata: { namespace: 'kube-system', name: 'turn' }, spec });
  using one = new Candidate(fake, 'b', { candidates: () => (one.calls.length === 0 ? 0 : 5000) });
  one.election.start();
  await eventually(() => assert.equal(one.calls.length, 1));
  await sleep(200);
  assert.equal(one.calls.length, 1);
});
