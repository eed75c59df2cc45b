import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Fd } from '../kernel/fd.ts';
import { sockaddr } from '../kernel/sockaddr.ts';
import { msgDontwait, sockRaw } from '../kernel/socket-options.ts';
import { socketIn } from '../kernel/sockets.ts';
import { nativeBuffer, sys } from '../kernel/sys.ts';
import { type Family, families, IpAddr } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { sctpInit } from '../testing/sctp.ts';
import { podAddress, service, slice, Testbed } from './testkit/testbed.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
/** IPPROTO_SCTP, and those of ICMP and ICMPv6. */
const protocolNumbers = { sctp: 132, ipv4: 1, ipv6: 58 } as const;

/** Sends and gets packets of a protocol as they are; of IPv4 with their IP header. */
const rawSocket = (bed: Testbed, pod: string, family: Family, protocol: number): Fd =>
  socketIn(bed.namespace(pod).ns, IpAddr.parse(podAddress(pod, family)), sockRaw, protocol, 'a raw socket');

/** The next packet of that kind. */
async function receive(fd: Fd, family: Family, isIt: (packet: Buffer) => boolean): Promise<Buffer> {
  const buffer = nativeBuffer(2048);
  for (const end = performance.now() + 10_000; performance.now() < end; ) {
    const length = sys.recv(fd.number, buffer, buffer.length, msgDontwait);
    const packet = Buffer.from(buffer.subarray(family === 'ipv4' ? 20 : 0, Math.max(length, 0)));
    if (length > 0 && isIt(packet)) return packet;
    if (length < 0) await setTimeout(5);
  }
  return assert.fail('nothing came within 10 s');
}

for (const family of families)
  test(`SD1, SD6, SD12 (${family}): an association of SCTP is led to an endpoint, with a checksum that is right; refused without one`, needsRoot, async (t) => {
    await using bed = new Testbed();
    if (!existsSync('/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_closed')) return t.skip('the kernel tracks no SCTP (CONFIG_NF_CT_PROTO_SCTP)');
    const ports = [{ port: 9, protocol: 'SCTP' }];
    bed.planner.setService(service('s', [vip[family]], ports));
    bed.planner.setSlice(slice('s', family, ['b'], 5001, 'SCTP'));
    bed.sync();
    using heard = rawSocket(bed, 'b', family, protocolNumbers.sctp);
    using refusals = rawSocket(bed, 'a', family, protocolNumbers[family]);
    using from = rawSocket(bed, 'a', family, protocolNumbers.sctp);
    const send = (port: number, source = 7777): void => {
      const to = sockaddr(IpAddr.parse(vip[family]), 0);
      const init = sctpInit(source, port);
      assert.equal(sys.sendto(from.number, init, init.length, 0, to, to.length), init.length);
    };
    send(9);
    const expected = sctpInit(7777, 5001);
    assert.deepEqual(await receive(heard, family, (packet) => packet.length === expected.length), expected, 'port and checksum are the endpoint’s');
    const unreachable = (packet: Buffer): boolean => (family === 'ipv4' ? packet[0] === 3 && packet[1] === 3 : packet[0] === 1 && packet[1] === 4);
    send(10);
    await receive(refusals, family, unreachable);
    bed.planner.setSlice(slice('s', family, [], 5001, 'SCTP'));
    bed.sync();
    send(9, 7778);
    await receive(refusals, family, unreachable);
  });

test('SD1: SCTP is led like the others, in what the kernel is told', needsRoot, async () => {
  await using bed = new Testbed();
  const ports = [{ port: 9, protocol: 'SCTP', nodePort: 30009 }];
  bed.planner.setService(service('s', [vip.ipv4], ports, { externalTrafficPolicy: 'Local' }));
  bed.planner.setSlice(slice('s', 'ipv4', ['b'], 9, 'SCTP'));
  bed.sync();
  const table = run(bed.node.path, 'nft', 'list', 'table', 'inet', 'podnet');
  for (const line of [/10\.96\.0\.1 \. sctp \. 9 : /, /sctp \. 30009 : /, /meta nfproto ipv4 dnat ip to meta priority & ffff:e000 \. numgen random mod 3 \. meta l4proto map @slots4/]) assert.match(table, line);
  assert.match(run(bed.node.path, 'nft', 'list', 'set', 'inet', 'podnet', 'nodeports-local-sctp'), /30009/);
});
