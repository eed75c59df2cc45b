import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeApi } from '../../kube/fake.ts';
import { Events, Nodes } from '../../kube/resources.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Context, SharedInformers } from '../context.ts';
import { eventually } from '../harness.ts';
import { CidrSet } from './cidr-set.ts';
import { cidrSets, type NodeIpamOptions, nodeIpamController } from './controller.ts';

describe('CidrSet', () => {
  test('PC1: a node mask more than 16 bits longer than the cluster’s, or shorter, is refused', () => {
    assert.throws(() => new CidrSet(Prefix.parse('10.0.0.0/7'), 24), /more than 16 bits/);
    assert.throws(() => new CidrSet(Prefix.parse('10.0.0.0/25'), 24), RangeError);
    assert.equal(new CidrSet(Prefix.parse('fd00::/48'), 64).size, 65536);
  });

  test('whatever is taken and released, blocks in use never overlap and the count of free ones is right', () => {
    const cluster = fc.constantFrom<[string, number]>(['10.244.0.0/28', 31], ['fd00::/60', 64], ['10.0.0.0/24', 24]);
    const action = fc.oneof(fc.constant('allocate' as const), fc.nat(20));
    fc.assert(
      fc.property(cluster, fc.array(action, { maxLength: 60 }), ([text, mask], actions) => {
        const set = new CidrSet(Prefix.parse(text), mask);
        let used: Prefix[] = [];
        for (const one of actions) {
          if (one === 'allocate') {
            const block = set.allocate();
            assert.equal(block === undefined, used.length === set.size, 'undefined means full, and only then');
            if (!block) continue;
            assert.ok(set.cluster.contains(block) && block.length === mask);
            assert.ok(!used.some((other) => other.overlaps(block)));
            used.push(block);
          } else if (used.length > 0) {
            const gone = used[one % used.length]!;
            set.release(gone);
            used = used.filter((other) => other !== gone);
          }
          assert.equal(set.free, set.size - used.length);
        }
      }),
    );
  });

  test('PC3: blocks that overlap the Service range are never handed out, whichever of both is larger', () => {
    const free = (podCidrs: string[], serviceCidrs: string[]) => cidrSets({ podCidrs, serviceCidrs }).map((set) => set.free);
    assert.deepEqual(free(['10.0.0.0/16'], ['10.0.1.0/24']), [255]);
    assert.deepEqual(free(['10.0.0.0/16'], ['10.0.1.128/28']), [255]);
    assert.deepEqual(free(['10.0.0.0/16'], ['10.0.0.0/8']), [0]);
    assert.deepEqual(free(['10.0.0.0/16', 'fd00::/56'], ['10.96.0.0/16', 'fd00::/120']), [256, 255]);
    assert.throws(() => free(['10.0.0.0/16', '10.1.0.0/16'], []), /at most one for each family/);
  });
});

function start(api: FakeApi, options: NodeIpamOptions) {
  const errors: string[] = [];
  const informers = new SharedInformers(api);
  const context: Context = { api, informers, now: Date.now, onError: (_, key, error) => errors.push(`${key}: ${error.message}`) };
  const running = nodeIpamController(context, options);
  return {
    ready: running.ready,
    errors,
    [Symbol.dispose]() {
      running.stop();
      informers.stop();
    },
  };
}

const cidrs = (api: FakeApi) => new Map(api.dump(Nodes).map(({ metadata, spec }) => [metadata.name, spec?.podCIDRs?.join(' ')]));

describe('node IPAM controller', () => {
  const dual: NodeIpamOptions = { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'], serviceCidrs: ['10.96.0.0/16'] };

  test('PC2: each node gets one CIDR of each family in the cluster’s order, by one patch', async () => {
    const api = new FakeApi();
    using c = start(api, dual);
    await c.ready;
    const before = await api.create(Nodes, { metadata: { name: 'a' } });
    await api.create(Nodes, { metadata: { name: 'b' } });
    await eventually(() => assert.ok([...cidrs(api).values()].every(Boolean)));
    const node = await api.get(Nodes, 'a');
    assert.deepEqual(node.spec?.podCIDRs, ['10.244.0.0/24', 'fd00:10:244::/64']);
    assert.equal(node.spec?.podCIDR, '10.244.0.0/24');
    assert.equal(node.metadata.generation, before.metadata.generation! + 1);
    assert.equal(cidrs(api).get('b'), '10.244.1.0/24 fd00:10:244:1::/64');
  });

  test('PC4, PC7: what nodes have is taken first and never overwritten', async () => {
    const api = new FakeApi();
    await api.create(Nodes, { metadata: { name: 'new' } });
    await api.create(Nodes, {
      metadata: { name: 'old' },
      spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24', 'fd00:10:244::/64'] },
    });
    using c = start(api, dual);
    await c.ready;
    await eventually(() => assert.ok(cidrs(api).get('new')));
    assert.equal(cidrs(api).get('new'), '10.244.1.0/24 fd00:10:244:1::/64');
    assert.equal(cidrs(api).get('old'), '10.244.0.0/24 fd00:10:244::/64');
  });

  test('PC4: garbage or a CIDR out of range on a node is fatal at the start', async () => {
    for (const bad of ['10.99.0.0/24', 'nonsense']) {
      const api = new FakeApi();
      await api.create(Nodes, { metadata: { name: 'old' }, spec: { podCIDRs: [bad] } });
      using c = start(api, dual);
      await assert.rejects(c.ready, new RegExp(bad));
    }
  });

  test('PC5, PC6: without a free CIDR there is the event CIDRNotAvailable; a deleted node’s goes to the one that waits', async () => {
    const api = new FakeApi();
    using c = start(api, { podCidrs: ['10.244.0.0/24'] });
    await c.ready;
    await api.create(Nodes, { metadata: { name: 'a' } });
    await eventually(() => assert.equal(cidrs(api).get('a'), '10.244.0.0/24'));
    await api.create(Nodes, { metadata: { name: 'b' } });
    await eventually(() => {
      const [event] = api.dump(Events);
      assert.deepEqual([event?.reason, event?.involvedObject.name], ['CIDRNotAvailable', 'b']);
    });
    await api.delete(Nodes, 'a');
    await eventually(() => assert.equal(cidrs(api).get('b'), '10.244.0.0/24'));
  });

  test('PC5: after three failed patches there is the event CIDRAssignmentFailed; what timed out stays reserved', async () => {
    const api = new FakeApi();
    const patch = api.patch.bind(api);
    let fail = true;
    let tries = 0;
    api.patch = ((...args: Parameters<typeof patch>) => {
      if (!fail || (args[0] as { kind: string }).kind !== 'Node') return patch(...args);
      tries++;
      return Promise.reject(new Error('timed out'));
    }) as typeof api.patch;
    using c = start(api, dual);
    await c.ready;
    await api.create(Nodes, { metadata: { name: 'a' } });
    await eventually(() => assert.ok(api.dump(Events).some(({ reason }) => reason === 'CIDRAssignmentFailed')));
    assert.ok(tries >= 3);
    await api.create(Nodes, { metadata: { name: 'b', annotations: {} } });
    fail = false;
    await eventually(() => assert.ok(cidrs(api).get('a') && cidrs(api).get('b')));
    assert.notEqual(cidrs(api).get('a'), cidrs(api).get('b'));
  });
});
