import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Family, families } from '../../net/ip.ts';
import { defaultConnmarkMask, planEpoch, planPolicyChains } from '../../policy/plan/index.ts';
import type { Item } from '../../reconcile/model.ts';
import { podAddress, service, serviceNode, slice, Testbed } from '../../services/testkit/testbed.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const sticky = { ipv4: '10.96.0.2', ipv6: 'fd00:96::2' };
const nodeIp = { ipv4: String(serviceNode.addresses[0]), ipv6: String(serviceNode.addresses[1]) };
const group = 28782;

/** Services as the agent writes them beside the chains of policies: both carry values in `meta priority`. */
class Both {
  readonly bed = new Testbed();
  #epoch = 0;

  constructor() {
    for (const pod of ['a', 'b', 'c']) run(this.bed.node.path, 'ip', 'link', 'set', `to-${pod}`, 'group', `${group}`);
    this.bed.reconciler.contribute('policy layout', [
      ...planPolicyChains({ podLinks: { group } }),
      ...planEpoch(1, defaultConnmarkMask),
    ]);
  }

  /** Every pod may do what the class of the given elements says, in both directions. */
  say(family: Family, value: string, ...elements: Item[]): void {
    const n = family === 'ipv4' ? 4 : 6;
    const all = ['a', 'b', 'c'].flatMap((pod) =>
      ['egress', 'ingress'].map((direction): Item => {
        return { kind: 'nft-element', set: `policy-${direction}-default${n}`, key: podAddress(pod, family), data: value };
      }),
    );
    this.bed.reconciler.contribute('policy layout', [
      ...planPolicyChains({ podLinks: { group } }),
      ...planEpoch(++this.#epoch + 1, defaultConnmarkMask),
    ]);
    this.bed.reconciler.contribute('policy elements', [...all, ...elements]);
    this.bed.sync();
  }
}

for (const family of families) {
  test(
    `ADR 4, ADR 19 (${family}): Services and policies leave each other's values alone: endpoints, affinity and sources are as without policies`,
    needsRoot,
    async () => {
      const both = new Both();
      await using bed = both.bed;
      for (const pod of ['a', 'b', 'far']) await bed.serveTcp(pod, family, 8080);
      const web = [{ name: '', port: 80, protocol: 'TCP', nodePort: 30080 }];
      bed.planner.setService(service('web', [vip[family]], web));
      bed.planner.setSlice(slice('web', family, ['a', 'b', 'far']));
      bed.planner.setService(
        service('sticky', [sticky[family]], [{ name: '', port: 80, protocol: 'TCP' }], { sessionAffinity: 'ClientIP' }),
      );
      bed.planner.setSlice(slice('sticky', family, ['a', 'b', 'far']));
      // A class that is looked up: values are in the priority for long.
      both.say(family, '0:8', { kind: 'nft-element', set: 'policy-ports', key: '0:8 . tcp . 8080', data: '0:3' });
      const met = new Set<string>();
      for (let i = 0; i < 40; i++) {
        const { who, seen } = await bed.ask('a', vip[family], 80);
        assert.equal(seen, who === 'a' ? nodeIp[family] : podAddress('a', family), who);
        met.add(who);
      }
      assert.deepEqual([...met].sort(), ['a', 'b', 'far']);
      const { who } = await bed.ask('c', sticky[family], 80);
      for (let i = 0; i < 10; i++) assert.equal((await bed.ask('c', sticky[family], 80)).who, who, 'remembered');
      for (let i = 0; i < 10; i++) assert.equal((await bed.ask('outside', nodeIp[family], 30080)).seen, nodeIp[family]);
      both.say(family, 'none');
      await assert.rejects(bed.connect('a', vip[family], 80, 300), /ETIMEDOUT/);
      await assert.rejects(bed.connect('c', sticky[family], 80, 300), /ETIMEDOUT/);
      assert.equal((await bed.ask('node', podAddress('a', family), 8080)).who, 'a', 'NP12');
    },
  );
}
