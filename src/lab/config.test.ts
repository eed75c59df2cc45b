import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labConfig } from './config.ts';
import { UsageError } from './errors.ts';
import { underlayRanges } from './ranges.ts';
import { clusterDnsIps, kubernetesServiceIps, topology } from './topology.ts';

test('a lab without options has three nodes on one IPv4 link', () => {
  const config = labConfig({});
  assert.deepEqual(
    config.nodes.map(({ name, link }) => `${name}@${link}`),
    ['node-1@0', 'node-2@0', 'node-3@0'],
  );
  assert.deepEqual([config.podCidrs, config.serviceCidrs], [['10.244.0.0/16'], ['10.96.0.0/16']]);
  assert.deepEqual([kubernetesServiceIps(config), clusterDnsIps(config)].flat().map(String), ['10.96.0.1', '10.96.0.10']);
});

test('load balancers get addresses of the links with nodes, those of the first link first, of every family, and none when the pools are empty', () => {
  assert.deepEqual(labConfig({ ipFamily: 'dual' }).loadBalancerPools, ['172.30.0.128-172.30.0.254', 'fd30::1:0-fd30::1:ffff']);
  assert.deepEqual(labConfig({ ipFamily: 'dual', links: 2 }).loadBalancerPools, [
    ...['172.30.0.128-172.30.0.254', 'fd30::1:0-fd30::1:ffff'],
    ...['172.30.1.128-172.30.1.254', 'fd30::1:0:0:1:0-fd30::1:0:0:1:ffff'],
  ]);
  assert.deepEqual(labConfig({ links: 2 }, { loadBalancerPools: ['172.30.1.200/30'] }).loadBalancerPools, ['172.30.1.200-172.30.1.203']);
  assert.deepEqual(labConfig({ ipFamily: 'ipv6' }).loadBalancerPools, ['fd30::1:0-fd30::1:ffff']);
  assert.deepEqual(labConfig({}, { loadBalancerPools: [] }).loadBalancerPools, []);
  assert.deepEqual(labConfig({}, { loadBalancerPools: ['172.30.0.200/30'] }).loadBalancerPools, ['172.30.0.200-172.30.0.203']);
});

test('every family gets addresses of its own, in the order of the families', () => {
  for (const [ipFamily, addresses] of [
    ['ipv4', ['172.30.0.11']],
    ['ipv6', ['fd30::b']],
    ['dual', ['172.30.0.11', 'fd30::b']],
  ] as const) {
    const { nodes } = topology(labConfig({ ipFamily, nodes: 1 }));
    assert.deepEqual(
      nodes[0]!.interfaces.map(({ address }) => String(address)),
      addresses,
    );
  }
});

test('nodes on several links have the addresses and the gateway of their link, and no address stands twice', () => {
  const { nodes, links, apiAddresses } = topology(labConfig({ nodes: 5, links: 2, ipFamily: 'dual' }));
  assert.deepEqual(
    nodes.map(({ link, gateways }) => `${link} ${gateways[0]}`),
    ['0 172.30.0.1', '1 172.30.1.1', '0 172.30.0.1', '1 172.30.1.1', '0 172.30.0.1'],
  );
  const all = [
    ...nodes.flatMap((node) => node.interfaces),
    ...links.flatMap((link) => [...link.router, ...link.bridgeAddresses]),
  ];
  assert.equal(new Set(all.map(({ address }) => String(address))).size, all.length);
  assert.deepEqual(apiAddresses.map(String), ['172.30.0.2', 'fd30::2']);
});

const wrong: readonly (readonly [options: Parameters<typeof labConfig>[0], file: unknown, message: RegExp])[] = [
  [{ nodes: 0 }, {}, /--nodes must be a whole number from 1 to 64, not "0"/],
  [{ name: 'My Lab' }, {}, /"My Lab" cannot name a lab/],
  [{ name: 'a'.repeat(25) }, {}, /25 characters, at most 24/],
  [{ name: 'my-lab' }, {}, /"my-lab" cannot name a lab: use lower-case letters and digits/],
  [{ name: '../../etc' }, {}, /cannot name a lab/],
  [{ ipFamily: 'ipv5' }, {}, /--ip-family must be one of ipv4, ipv6, dual, not "ipv5"/],
  [{}, { podCidr: '10.0.0.0/8' }, /unknown field "podCidr"/],
  [{}, { podCidrs: ['10.0.0.1/8'] }, /podCidrs: .*host bits are set; the network is 10\.0\.0\.0\/8/],
  [
    {},
    { loadBalancerPools: ['172.31.0.0/24'] },
    /loadBalancerPools: .* is not within 172\.30\.0\.0\/24, the link of the lab's nodes/,
  ],
  [{}, { loadBalancerPools: ['172.30.0.60-172.30.0.90'] }, /overlaps 172\.30\.0\.0-172\.30\.0\.74, which the lab uses/],
  [{}, { loadBalancerPools: ['172.30.0.128/25'] }, /overlaps 172\.30\.0\.255/],
  [{}, { loadBalancerPools: ['fd30::1:0/112'] }, /is ipv6, and the lab is ipv4 only/],
  [{}, { loadBalancerPools: ['172.30.0.9-172.30.0.5'] }, /loadBalancerPools: .*its end comes before its start/],
  [{ nodes: 'x' }, {}, /--nodes must be a whole number from 1 to 64, not "x"/],
  [
    {},
    { podCidrs: ['10.96.0.0/12'] },
    /podCidrs and serviceCidrs overlap: 10\.96\.0\.0\/12 and 10\.96\.0\.0\/16; give them ranges of their own/,
  ],
  [
    {},
    { podCidrs: ['10.244.0.0/23'] },
    /10\.244\.0\.0\/23 is too small, since each node gets a \/24 of it: give it \/22 or shorter for 3 nodes/,
  ],
  [{ nodes: 1 }, { podCidrs: ['10.244.0.0/25'] }, /give it \/24 or shorter for one node/],
  [{}, { podCidrs: ['10.0.0.0/7'] }, /podCidrs: 10\.0\.0\.0\/7 is too large: give it \/8 or longer/],
  [{}, { podCidrs: ['172.30.0.0/16'] }, /overlaps 172\.30\.0\.0\/21, which the lab uses for its own links; choose another range/],
  [
    {},
    { serviceCidrs: ['127.1.0.0/16'] },
    /serviceCidrs: 127\.1\.0\.0\/16 overlaps 127\.0\.0\.0\/8, which is this machine's own/,
  ],
  [{}, { serviceCidrs: ['10.97.0.0/29'] }, /too small, since the cluster DNS has its tenth address: give it \/28 or shorter/],
  [{}, { nodes: [{ name: 'a', lables: {} }] }, /nodes\[0\] has an unknown field "lables"; known are name, link, labels/],
  [{}, { nodes: [{ name: 'a', labels: { rack: 1 } }] }, /nodes\[0\]\.labels\.rack must be text, not 1: put it in quotes/],
  [{}, { clusterDomain: 'UP er' }, /clusterDomain must be a domain in lower case like cluster\.local, not "UP er"/],
  [{}, { upstreamDns: ['hello'] }, /upstreamDns: .*hello/],
  [
    {},
    { images: [{ img: 'x' }] },
    /images\[0\] has an unknown field "img"; known are image, busybox, rootfs, entrypoint, command/,
  ],
  [{}, { images: [{ image: 'x' }] }, /images\[0\] needs either busybox, the absolute path of a static executable, or rootfs/],
  [{}, { images: [{ image: 'x', rootfs: '/srv/x', command: 'ls' }] }, /images\[0\]\.command must be a list of texts, not "ls"/],
  [{}, { ipFamily: 'dual', podCidrs: ['10.1.0.0/16'] }, /one CIDR for each of ipv4, ipv6/],
  [{}, { nodes: [{ name: 'router' }] }, /the lab uses that name itself/],
  [{}, { nodes: [{ name: 'a' }, { name: 'a' }] }, /two nodes are named "a"/],
  [{}, [], /must be a mapping/],
  [{}, { mtu: 576 }, /mtu must be a whole number from 1280 to 9000/],
];

test('each mistake is one sentence with the value seen', () => {
  for (const [options, file, message] of wrong) {
    assert.throws(
      () => labConfig(options, file),
      (error: Error) => error instanceof UsageError && message.test(error.message),
      String(message),
    );
  }
});

test('the ranges that are kept from users are those that labs of every size use', () => {
  const config = labConfig({ nodes: 64, links: 8, ipFamily: 'dual' });
  const { links, nodes, outside } = topology(config);
  const own = [
    ...links.flatMap(({ router, bridgeAddresses }) => [...router, ...bridgeAddresses]),
    ...nodes.flatMap((node) => node.interfaces),
  ];
  for (const { prefix } of [...own, ...outside.router, ...outside.client])
    assert.ok(
      underlayRanges.some((range) => range.contains(prefix)),
      String(prefix),
    );
});

test('what is right is taken as it is', () => {
  const images = [{ image: 'registry.example/*', rootfs: '/srv/root', command: ['sh'] }];
  const file = {
    nodes: [{ name: 'a', labels: { rack: '1' } }],
    podCidrs: ['10.0.0.0/24'],
    upstreamDns: ['192.0.2.53', '[2001:db8::53]:5353'],
    images,
  };
  const { podCidrs, upstreamDns, images: mapped, nodes } = labConfig({}, file);
  assert.deepEqual(
    { podCidrs, upstreamDns, images: mapped, nodes },
    { ...file, nodes: [{ name: 'a', link: 0, labels: { rack: '1' } }] },
  );
});
