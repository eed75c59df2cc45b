import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeApi } from '../../kube/fake.ts';
import { conditionOf, dnsConditionType, isDnsReady } from '../../kube/objects.ts';
import { Nodes } from '../../kube/resources.ts';
import { eventually } from '../testkit/node.ts';
import { DnsCondition } from './condition.ts';

const ready = { type: 'Ready', status: 'True' } as const;

async function setUp(): Promise<{ api: FakeApi; written: () => number; condition: DnsCondition }> {
  const api = new FakeApi();
  await api.create(Nodes, { metadata: { name: 'me' }, status: { conditions: [ready] } });
  let count = 0;
  const counting = {
    get: api.get.bind(api) as FakeApi['get'],
    patch: ((...given: Parameters<FakeApi['patch']>) => {
      count++;
      return api.patch(...given);
    }) as FakeApi['patch'],
  };
  const condition = new DnsCondition({ api: counting, nodeName: 'me', log: () => {}, graceMs: 20, retryMs: 20 });
  return { api, written: () => count, condition };
}

const statusOf = async (api: FakeApi): Promise<string | undefined> =>
  conditionOf((await api.get(Nodes, 'me')).status?.conditions, dnsConditionType)?.status;

test('a DNS that answers is not told of, nor one that is away for a moment', async () => {
  const { api, written, condition } = await setUp();
  using _ = condition;
  condition.set(true);
  condition.set(false);
  condition.set(true);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual([written(), await statusOf(api)], [0, undefined]);
  assert.ok(isDnsReady(await api.get(Nodes, 'me')));
});

test('one that does not answer makes the condition False, and True again, beside the conditions of others', async () => {
  const { api, condition } = await setUp();
  using _ = condition;
  condition.set(false);
  await eventually(async () => assert.equal(await statusOf(api), 'False'));
  assert.ok(!isDnsReady(await api.get(Nodes, 'me')));
  condition.set(true);
  await eventually(async () => assert.equal(await statusOf(api), 'True'));
  assert.equal(conditionOf((await api.get(Nodes, 'me')).status?.conditions, 'Ready')?.status, 'True');
});

test('what somebody else overwrites is written again, and what a former agent wrote is taken back', async () => {
  const { api, condition } = await setUp();
  using _ = condition;
  condition.set(false);
  await eventually(async () => assert.equal(await statusOf(api), 'False'));
  const node = await api.patch(Nodes, 'me', undefined, { status: { conditions: [ready] } }, 'merge', { subresource: 'status' });
  condition.seen(isDnsReady(node));
  await eventually(async () => assert.equal(await statusOf(api), 'False'));
  using next = new DnsCondition({ api, nodeName: 'me', log: () => {} });
  next.seen(false);
  next.set(true);
  await eventually(async () => assert.equal(await statusOf(api), 'True'));
});

test('a write that fails is told and tried again', async () => {
  const { api } = await setUp();
  const said: string[] = [];
  let down = true;
  const patch = ((...given: Parameters<FakeApi['patch']>) =>
    down ? Promise.reject(new Error('the API is away')) : api.patch(...given)) as FakeApi['patch'];
  using condition = new DnsCondition({ api: { get: api.get.bind(api) as FakeApi['get'], patch }, nodeName: 'me', log: (line) => said.push(line), graceMs: 5, retryMs: 5 });
  condition.set(false);
  await eventually(() => assert.match(said.join(), /its DNS is not ready: the API is away/));
  down = false;
  await eventually(async () => assert.equal(await statusOf(api), 'False'));
});
