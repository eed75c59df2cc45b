import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProbeSocket } from '../kernel/probes.ts';
import { type Family, families } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { at, outsideAddress, service, slice, Testbed } from './testkit/testbed.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const unallocated = { ipv4: '10.96.0.9', ipv6: 'fd00:96::9' };
/** Of nobody in the cluster: the default route's. */
const elsewhere = { ipv4: '198.51.100.7', ipv6: 'fd00:198::7' };
const portUnreachable = { ipv4: '3/3', ipv6: '1/4' };
const table = { ipv4: 'ip', ipv6: 'ip6' };

/** The default route leads to a machine that counts the echo requests that come to it. */
function countAtDefaultRoute(bed: Testbed, family: Family): () => number {
  const ip = table[family];
  run(bed.node.path, 'ip', family === 'ipv4' ? '-4' : '-6', 'route', 'add', 'default', 'via', outsideAddress[family]);
  const nft = (...args: string[]): string => run(bed.outside.path, 'nft', ...args);
  nft('add', 'table', ip, 'judge');
  nft('add', 'chain', ip, 'judge', 'seen', '{ type filter hook prerouting priority -300 ; }');
  nft('add', 'rule', ip, 'judge', 'seen', 'meta', 'l4proto', family === 'ipv4' ? 'icmp' : 'ipv6-icmp', family === 'ipv4' ? 'icmp' : 'icmpv6', 'type', 'echo-request', 'counter');
  return () => Number(/packets (\d+)/.exec(nft('list', 'chain', ip, 'judge', 'seen'))![1]);
}

/** @returns ICMP type and code of what came back, `reply`, or `nothing` */
async function ping(bed: Testbed, from: string, family: Family, address: string, timeoutMs: number): Promise<string> {
  using socket = ProbeSocket.icmp(bed.namespace(from).ns, family);
  socket.echo(at(address), 1);
  for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
    await socket.ready(Math.max(1, Math.ceil(end - performance.now())));
    const error = socket.receiveError();
    if (error) return `${error.type}/${error.code}`;
    if (socket.receiveEcho()) return 'reply';
  }
  return 'nothing';
}

for (const family of families)
  test(
    `SD13, SD12 (${family}): an echo request to a ClusterIP is refused as an undeclared port is, one to an address of nobody dropped; neither takes the default route`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      const seen = countAtDefaultRoute(bed, family);
      bed.planner.setService(service('web', [vip[family]], [{ port: 80 }]));
      bed.planner.setSlice(slice('web', family, ['b']));
      bed.sync();
      assert.equal(await ping(bed, 'a', family, vip[family], 5000), portUnreachable[family]);
      assert.equal(await ping(bed, 'a', family, unallocated[family], 300), 'nothing');
      assert.equal(seen(), 0);
      // That there is something to see by this way.
      await ping(bed, 'a', family, elsewhere[family], 100);
      // The router's neighbour must be found first.
      for (let tries = 0; seen() === 0 && tries < 200; tries++) await sleep(20);
      assert.equal(seen(), 1);
    },
  );
