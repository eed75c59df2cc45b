import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type CniError, cniCode } from '../../cni/errors.ts';
import { parseWishes } from '../../cni/wishes.ts';
import { Ipam } from '../../ipam/index.ts';
import { NetNs } from '../../kernel/netns.ts';
import { type Attacher, attachModes } from '../../links/index.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { Reconciler } from '../../reconcile/index.ts';
import { type Item, keyOf } from '../../reconcile/model.ts';
import type { Failure, Operation, Writer } from '../../reconcile/operations.ts';
import { Forgetter } from '../addresses/forgetter.ts';
import { PodAttachments } from './attachments.ts';
import { Door } from './door.ts';
import { Gate } from './gate.ts';
import { HostPorts } from './hostports.ts';

/** A kernel that holds whatever it is told, of every kind. Others may take from it, which the owner of a table does not let them. */
class OpenKernel implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['sysctl', 'link', 'route', 'neighbour', 'nft-element']);
  readonly held = new Map<string, Item>();

  observe(): Iterable<Item> {
    return [...this.held.values()];
  }

  apply(operations: readonly Operation[]): Failure[] {
    for (const operation of operations) {
      assert.ok(this.kinds.has(operation.kind));
      if (operation.verb === 'delete') this.held.delete(operation.key);
      else this.held.set(operation.key, operation.item);
    }
    return [];
  }
}

test('CNI8: CHECK notices each element of a host port that is missing, and it is written again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'podnet-test-hostports-'));
  using ipam = new Ipam(directory);
  try {
    ipam.setRanges(['10.1.0.0/24', 'fd01::/64'].map(Prefix.parse));
    const kernel = new OpenKernel();
    const reconciler = new Reconciler([kernel]);
    const node = { families: ['ipv4', 'ipv6'] as const, addresses: [], podCidrs: [], podMtu: 1500 };
    const gate = new Gate('');
    gate.set(undefined);
    const mode = attachModes.routed;
    const attacher = {
      mode,
      open: () => ({ inode: 1n, [Symbol.dispose]() {} }),
      attach: (pod: Parameters<typeof mode.planPod>[0]) => {
        const items = mode.planPod(pod, node);
        for (const item of items) kernel.held.set(keyOf(item), item);
        return items;
      },
      isLive: () => true,
      hasAddresses: () => true,
      check: () => [],
    } as unknown as Attacher;
    const hostPorts = new HostPorts({
      ...{ ipam, serviceCidrs: [], rt: { addresses: () => [{ link: 1, address: IpAddr.parse('192.0.2.1'), prefixLength: 24 }] } },
      conntrack: { list: () => [], deleteAll: () => 0 },
    });
    using here = NetNs.current();
    using forgetter = new Forgetter(ipam, here, { onError: () => {}, also: () => {} });
    const attachments = new PodAttachments({
      ...{
        ipam,
        attacher,
        reconciler,
        gate,
        forgetter,
        hostPorts,
        node: () => node,
        isolation: { isActive: false, admit: async () => undefined, attached: () => [], detached: () => [] },
        door: new Door(mode, { supports: () => false, counters: () => new Map() }),
      },
    });
    const key = { network: 'podnet', containerId: 'a', ifname: 'eth0' };
    const portMappings = [
      { hostPort: 53, containerPort: 5353, protocol: 'udp' },
      { hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '192.0.2.1' },
    ];
    const result = await attachments.add(key, '/netns', {}, parseWishes({ portMappings }));
    const elements = [...kernel.held.keys()].filter((one) => one.includes(' hostports'));
    assert.deepEqual(elements.filter((one) => !/(to|hairpin)[46] /.test(one)).sort(), [
      'nft-element hostports-at4 192.0.2.1 . tcp . 80',
      'nft-element hostports-tcp 80',
      'nft-element hostports-udp 53',
      'nft-element hostports4 udp . 53',
      'nft-element hostports6 udp . 53',
    ]);
    for (const element of elements) {
      kernel.held.delete(element);
      reconciler.markAll();
      await assert.rejects(attachments.check(key, '/netns', result), ({ code, message }: CniError) => {
        assert.equal(code, cniCode.damaged);
        assert.equal(message, `the node does not hold ${element}`);
        return true;
      });
      reconciler.sync();
      await attachments.check(key, '/netns', result);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
