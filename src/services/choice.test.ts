import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conntrack } from '../kernel/conntrack.ts';
import { check } from '../kernel/errors.ts';
import { bindUdp } from '../kernel/sockets.ts';
import { sockaddr } from '../kernel/sockaddr.ts';
import { sys } from '../kernel/sys.ts';
import { families } from '../net/ip.ts';
import { needsRoot } from '../testing/root.ts';
import { allSets } from './sets.ts';
import { at, podAddress, service, slice, Testbed, wildcard } from './testkit/testbed.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const firstPort = 9000;
/** For each endpoint. */
const connections = 25;

/** Sends one datagram from a port of its own; nobody answers but by ICMP. */
function send(bed: Testbed, address: string): void {
  const fd = bindUdp(bed.namespace('a').ns, at(wildcard[at(address).family]), 0);
  try {
    const to = sockaddr(at(address), 53);
    check('sendto', sys.sendto(fd, Buffer.alloc(4), 4, 0, to, to.length));
  } finally {
    sys.close(fd);
  }
}

const cases = families.flatMap((family) => [false, true].map((isSticky) => ({ family, isSticky })));
for (const { family, isSticky } of cases)
  test(`SD1 (${family}${isSticky ? ', session affinity' : ''}): any of the endpoints, each as often as the others, whatever their number, and through every change of it`, needsRoot, async () => {
    await using bed = new Testbed();
    using conntrack = Conntrack.open(bed.node.ns);
    if (isSticky) {
      // Nobody can be remembered when the one place is taken: each connection is a new client's.
      const name = family === 'ipv4' ? 'affinity4' : 'affinity6';
      bed.reconciler.contribute('a smaller map', [
        { kind: 'nft-set', ...allSets.find((set) => set.name === name)!, size: 1 },
        { kind: 'nft-element', set: name, key: `7fff:e000 . ${podAddress('c', family)}`, data: '7fff:e000' },
      ]);
    }
    const spec = isSticky ? { sessionAffinity: 'ClientIP' } : {};
    bed.planner.setService(service('dns', [vip[family]], [{ name: '', port: 53, protocol: 'UDP' }], spec));
    // One pod's ports, each in a slice of its own.
    const sliceOf = (i: number) => {
      const one = slice('dns', family, ['b'], firstPort + i, 'UDP');
      return { ...one, metadata: { ...one.metadata, name: `${one.metadata.name}-${i}` } };
    };
    let there = 0;
    for (const count of [1, 3, 16, 17, 33, 20, 70, 16, 2]) {
      for (; there < count; there++) bed.planner.setSlice(sliceOf(there));
      for (; there > count; there--) bed.planner.deleteSlice('default', sliceOf(there - 1).metadata.name!);
      bed.sync();
      for (let i = 0; i < count * connections; i++) send(bed, vip[family]);
      const chosen = new Map<number, number>();
      for (const { original, reply } of conntrack.list({ family })) {
        if (String(original.destination) !== vip[family]) continue;
        assert.equal(String(reply.source), podAddress('b', family), `of ${count}`);
        const port = reply.sourcePort! - firstPort;
        chosen.set(port, (chosen.get(port) ?? 0) + 1);
      }
      assert.deepEqual([...chosen.keys()].sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i), `each of ${count}`);
      conntrack.deleteOf([at(podAddress('a', family))]);
      const total = [...chosen.values()].reduce((sum, one) => sum + one, 0);
      assert.ok(total > 0.9 * count * connections, `${total} connections of ${count * connections}`);
      // Chi-squared of count - 1 degrees of freedom: mean and six times its deviation.
      const mean = total / count;
      const far = [...chosen.values()].reduce((sum, one) => sum + (one - mean) ** 2 / mean, 0);
      assert.ok(far < count - 1 + 6 * Math.sqrt(2 * count), `of ${count}: chi-squared ${far.toFixed(1)}`);
    }
  });
