import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Family, IpAddr } from '../net/ip.ts';
import { type UdpEntry, UdpServices } from './conntrack.ts';
import type { PlannedPort } from './planner.ts';

const nodeAddresses = [IpAddr.parse('172.30.0.11'), IpAddr.parse('fd30::11')];
const cases: { family: Family; vip: string; other: string; node: string; pods: [string, string] }[] = [
  { family: 'ipv4', vip: '10.96.0.80', other: '10.96.0.81', node: '172.30.0.11', pods: ['10.244.1.2', '10.244.2.2'] },
  { family: 'ipv6', vip: 'fd96::80', other: 'fd96::81', node: 'fd30::11', pods: ['fd00:1::2', 'fd00:2::2'] },
];

for (const { family, vip, other, node, pods } of cases) {
  const [one, two] = pods;
  const port = (clusterIp: string, serving: string[], rest: Partial<PlannedPort> = {}): PlannedPort => ({
    ...{ name: '', family, protocol: 'udp', clusterIp: IpAddr.parse(clusterIp), port: 80, nodePort: 30080, externalIps: [] },
    serving: serving.map((text) => {
      const address = IpAddr.parse(text);
      const flags = { ready: true, serving: true, terminating: false, isLocal: false, zones: undefined, nodes: undefined };
      return { key: `${address} . 8080`, address, port: 8080, ...flags };
    }),
    ...rest,
  });
  const entry = (to: string, at: number, by: string, from = 8080): UdpEntry => ({
    ...{ destination: IpAddr.parse(to), destinationPort: at },
    ...{ replySource: IpAddr.parse(by), replySourcePort: from },
  });
  const settled = (...ports: PlannedPort[]): UdpServices => {
    const services = new UdpServices();
    services.set('a', ports, nodeAddresses);
    services.settled();
    return services;
  };

  test(`SD25 (${family}): entries of an endpoint that left are stale, by the ClusterIP and by the node's port; others' are not`, () => {
    const services = settled(port(vip, [one, two]));
    services.set('a', [port(vip, [two])], nodeAddresses);
    assert.ok(services.mayHaveStale);
    assert.ok(services.isStale(entry(vip, 80, one)));
    assert.ok(services.isStale(entry(node, 30080, one)));
    assert.ok(!services.isStale(entry(vip, 80, two)));
    assert.ok(!services.isStale(entry(other, 80, one)), 'of no Service here');
    assert.ok(!services.isStale(entry(vip, 80, vip, 80)), 'answered by who it was sent to');
  });

  test(`SD25 (${family}): external addresses count like the ClusterIP; a flow to elsewhere by the number of a node port is nobody's`, () => {
    const external = IpAddr.parse(family === 'ipv4' ? '198.51.100.1' : '2001:db8::1');
    const elsewhere = family === 'ipv4' ? '8.8.8.8' : '2001:4860:4860::8888';
    const services = settled(port(vip, [one, two], { externalIps: [external] }));
    services.set('a', [port(vip, [two], { externalIps: [external] })], nodeAddresses);
    assert.ok(services.isStale(entry(`${external}`, 80, one)));
    assert.ok(!services.isStale(entry(`${external}`, 80, two)));
    assert.ok(!services.isStale(entry(elsewhere, 30080, one)), 'SD25 (i)');
    assert.ok(services.isStale(entry(`${external}`, 80, `${external}`, 80)), 'from before it was served');
    services.settled();
    services.set('a', [port(vip, [two])], nodeAddresses);
    assert.ok(services.mayHaveStale);
    assert.ok(services.isStale(entry(`${external}`, 80, two)), 'SD25 (ii): the address is no longer its');
    assert.ok(!services.isStale(entry(vip, 80, two)));
  });

  test(`SD25 (${family}): a flow to a node port from before it was served is stale once it is`, () => {
    const services = settled(port(vip, [one], { nodePort: undefined }));
    services.set('a', [port(vip, [one])], nodeAddresses);
    assert.ok(services.mayHaveStale);
    assert.ok(services.isStale(entry(node, 30080, node, 30080)));
    services.settled();
    services.set('a', [port(vip, [one, two])], nodeAddresses);
    assert.ok(!services.mayHaveStale, 'it was served before');
    services.set('a', [port(vip, [])], nodeAddresses);
    assert.ok(!services.isStale(entry(node, 30080, node, 30080)), 'nobody else to send it to');
    services.set('b', [port(other, [node], { nodePort: 8080 })], nodeAddresses);
    assert.ok(!services.isStale(entry(node, 8080, node, 8080)), 'a process of the node is its endpoint');
  });

  test(`SD25 (${family}): all entries of a Service that went are stale, also when another has its address the next moment`, () => {
    for (const order of [
      ['a', 'b'],
      ['b', 'a'],
    ]) {
      const services = settled(port(vip, [one]));
      for (const owner of order) services.set(owner, owner === 'a' ? [] : [port(vip, [two])], nodeAddresses);
      assert.ok(services.mayHaveStale);
      assert.ok(services.isStale(entry(vip, 80, one)), `in the order ${order}`);
      assert.ok(!services.isStale(entry(vip, 80, two)), `in the order ${order}`);
    }
    const services = settled(port(vip, [one]));
    services.set('a', [], nodeAddresses);
    assert.ok(services.isStale(entry(vip, 80, one)) && services.isStale(entry(node, 30080, one)));
  });

  test(`SD25 (${family}): entries of a Service that went while no agent ran are told by what the kernel still leads to it`, () => {
    const n = family === 'ipv4' ? 4 : 6;
    const external = family === 'ipv4' ? '198.51.100.1' : '2001:db8::1';
    const held = new Map(
      [`service-ips${n} ${vip} . udp . 80`, `service-ips${n} ${other} . tcp . 80`, `nodeports${n} udp . 30080`, `nodeport-ips${n} ${node}`]
        .concat(`external-ports${n} ${external} . udp . 80`)
        .map((key) => [`nft-element ${key}`, { kind: 'nft-element', set: '', key: '' }] as const),
    );
    const services = new UdpServices();
    services.remember(held);
    assert.ok(services.mayHaveStale);
    for (const gone of [entry(vip, 80, one), entry(node, 30080, one), entry(external, 80, one)]) assert.ok(services.isStale(gone), `${gone.destination}`);
    for (const live of [entry(vip, 80, vip, 80), entry(other, 80, one), entry(node, 30081, one)]) assert.ok(!services.isStale(live), `${live.destination}`);
    services.set('a', [port(vip, [one])], nodeAddresses);
    assert.ok(!services.isStale(entry(vip, 80, one)) && !services.isStale(entry(node, 30080, one)), 'it is there again');
    assert.ok(services.isStale(entry(vip, 80, two)) && services.isStale(entry(external, 80, one)));
    services.settled();
    assert.ok(!services.mayHaveStale);
  });

  test(`SD25 (${family}): conntrack is read after a start, and then only when an endpoint left UDP`, () => {
    const services = new UdpServices();
    services.set('a', [port(vip, [one])], nodeAddresses);
    assert.ok(services.mayHaveStale, 'what happened before the start is not known');
    services.settled();
    services.set('a', [port(vip, [one, two])], nodeAddresses);
    services.set('b', [port(other, [one], { protocol: 'tcp' })], nodeAddresses);
    services.set('b', [], nodeAddresses);
    assert.ok(!services.mayHaveStale);
  });
}
