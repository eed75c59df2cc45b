import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { test } from 'node:test';
import { parseListener } from '../../kernel/listeners.ts';
import { bindUdp, connectTcp, listenTcp } from '../../kernel/sockets.ts';
import { Services } from '../../kube/resources.ts';
import type { Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { judgeListeners } from './taken-node-ports.ts';

const nodeAddresses = ['192.0.2.1', '2001:db8::1'].map(IpAddr.parse);
const view = (...keys: string[]) => ({
  held: new Set(keys.map((key) => `nft-element ${key}`)),
  addresses: nodeAddresses,
  services: {
    list: (): Service[] => [
      { metadata: { namespace: 'default', name: 'other' }, spec: { ports: [{ port: 1, nodePort: 30_080, protocol: 'UDP' }] } },
      { metadata: { namespace: 'default', name: 'shop' }, spec: { ports: [{ port: 80, nodePort: 30_080 }] } },
    ],
  },
});
const listener = (protocol: 'tcp' | 'udp', address: string, port: number) => ({ protocol, address: IpAddr.parse(address), port });

test('SD15: a listener is told of where a Service has the port, by protocol, family and address, and only there', () => {
  const held = view('nodeports4 tcp . 30080', 'nodeports-refused6 tcp . 30081');
  const told = (...where: Parameters<typeof listener>): string[] => judgeListeners([listener(...where)], held);
  assert.match(
    told('tcp', '0.0.0.0', 30_080).join(),
    /listens on tcp 0\.0\.0\.0:30080, a node port of default\/shop, which gets what comes to 192\.0\.2\.1:.*ss -lntp 'sport = :30080'/,
  );
  assert.match(told('tcp', '::', 30_080).join(), /tcp \[::\]:30080/, 'a socket of all IPv6 addresses takes IPv4 as well');
  assert.match(told('tcp', '2001:db8::1', 30_081).join(), /a node port of a Service, which gets what comes to 2001:db8::1/);
  for (const other of [
    listener('udp', '0.0.0.0', 30_080),
    listener('tcp', '127.0.0.1', 30_080),
    listener('tcp', '::1', 30_081),
    listener('tcp', '2001:db8::1', 30_080),
    listener('tcp', '0.0.0.0', 30_081),
    listener('tcp', '192.0.2.9', 30_080),
  ])
    assert.deepEqual(judgeListeners([other], held), [], `${other.protocol} ${other.address} ${other.port}`);
});

test('sockets of /proc/net are read in the order of the machine', {
  skip: new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1,
}, () => {
  const rest = '00000000:00000000 00:00000000 00000000     0        0 12345 1';
  const tcp = parseListener(`   0: 010200C0:7580 00000000:0000 0A ${rest}`, 'tcp');
  assert.deepEqual([String(tcp?.address), tcp?.port], ['192.0.2.1', 30_080]);
  const zeros = `${'0'.repeat(32)}:0000`;
  const udp = parseListener(`  12: B80D0120000000000000000001000000:0035 ${zeros} 07 ${rest}`, 'udp');
  assert.deepEqual([String(udp?.address), udp?.port], ['2001:db8::1', 53]);
  assert.equal(parseListener(`   1: 010200C0:7580 020200C0:8000 01 ${rest}`, 'tcp'), undefined);
});

test(
  'SD15 (ipv4, ipv6): who listens on a node port does not get its packets, and is told so in status and log',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.api.create(Services, {
      metadata: { name: 'shop', namespace: 'default' },
      spec: {
        ...{ type: 'NodePort', clusterIP: '10.96.0.90', clusterIPs: ['10.96.0.90', 'fd96::90'] },
        ports: [
          { name: 'web', port: 80, nodePort: 30_080 },
          { name: 'dns', port: 53, nodePort: 30_053, protocol: 'UDP' },
        ],
      },
    });
    const fds = [
      listenTcp(node.ns.ns, IpAddr.parse('0.0.0.0'), 30_080),
      listenTcp(node.ns.ns, IpAddr.parse('127.0.0.1'), 30_053),
      bindUdp(node.ns.ns, IpAddr.parse('2001:db8::1'), 30_053),
    ];
    try {
      await node.startReady();
      const about = (): string[] => node.status().warnings.filter((text) => text.includes('a node port of'));
      const warnings = await eventually(() => {
        assert.equal(about().length, 2, about().join('\n'));
        return about().join('\n');
      });
      assert.match(warnings, /tcp 0\.0\.0\.0:30080, a node port of default\/shop, which gets what comes to 192\.0\.2\.1:/);
      assert.match(warnings, /udp \[2001:db8::1\]:30053, a node port of default\/shop, which gets what comes to 2001:db8::1:/);
      // The Service has no endpoints: whoever comes is refused, and does not meet the process.
      await assert.rejects(connectTcp(node.peer.ns, IpAddr.parse('192.0.2.1'), 30_080, { timeoutMs: 5000 }), /ECONNREFUSED/);
      assert.ok(
        node.log.some((line) => line.includes('listens on tcp 0.0.0.0:30080')),
        'the log tells it too',
      );
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  },
);
