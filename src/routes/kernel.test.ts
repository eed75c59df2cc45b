import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { Reconciler, RtWriter, SysctlWriter } from '../reconcile/index.ts';
import { needsRoot } from '../testing/root.ts';
import { type Backend, planPeer, planSelf, podMtu, type RouteNode, type RoutesConfig } from './plan.ts';

const node = (n: number): RouteNode => ({
  name: `n${n}`,
  addresses: [`172.30.0.1${n}`, `fd30::1${n}`].map(IpAddr.parse),
  podCidrs: [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`].map(Prefix.parse),
});
const nodes = [node(1), node(2)] as const;
const local = { uplink: 'eth0', onLink: ['172.30.0.0/24', 'fd30::/64'].map(Prefix.parse), uplinkMtu: 1500 };
const path = (n: number): string => `/run/netns/podnet-test-routes-${process.pid}-${n}`;
const name = (n: number): string => path(n).slice('/run/netns/'.length);
const run = (n: number, ...command: string[]): string =>
  execFileSync('ip', ['netns', 'exec', name(n), ...command], { encoding: 'utf8', stdio: 'pipe' });
/** One answer within the time: the first packets of a new link may be lost until both ends have seen that it is up. */
const pings = (...options: string[]): boolean => answers(5, options);
const answers = (seconds: number, options: string[]): boolean => {
  try {
    run(0, 'ping', '-n', '-c1', '-i0.2', `-w${seconds}`, ...options);
    return true;
  } catch {
    return false;
  }
};

/** Two nodes on one link; a "pod" is an address of each node's pod CIDR on its loopback. */
function joinNodes(): NetNs[] {
  const spaces = [NetNs.create(path(0)), NetNs.create(path(1))];
  using first = RtNetlink.open(spaces[0]);
  first.addLink({ type: 'veth', name: 'eth0', mtu: 1500, peer: { name: 'eth0', mtu: 1500, netNs: spaces[1]!.fd } });
  spaces.forEach((ns, n) => {
    using rt = RtNetlink.open(ns);
    const eth0 = rt.link('eth0')!.index;
    rt.batch((batch) => {
      batch.setLink(1, { up: true }).setLink(eth0, { up: true });
      for (const address of nodes[n]!.addresses) {
        batch.addAddress({
          link: eth0,
          address,
          prefixLength: address.family === 'ipv4' ? 24 : 64,
          ...(address.family === 'ipv6' ? { flags: ['nodad'] } : {}),
        });
      }
      for (const cidr of nodes[n]!.podCidrs)
        batch.addAddress({ link: 1, address: cidr.at(5), prefixLength: cidr.family === 'ipv4' ? 32 : 128 });
    });
  });
  return spaces;
}

for (const backend of ['direct', 'vxlan'] satisfies Backend[]) {
  test(
    `NM3, NM8: pods of two nodes reach each other with backend ${backend}, packets of exactly the pods' MTU pass, and a restart writes nothing`,
    needsRoot,
    () => {
      const config: RoutesConfig = {
        families: ['ipv4', 'ipv6'],
        backend,
        serviceCidrs: [Prefix.parse('10.96.0.0/16'), Prefix.parse('fd00:10:96::/112')],
        clusterDns: [IpAddr.parse('10.96.0.10')],
        vxlan: { id: 1, port: 4789 },
      };
      const spaces = joinNodes();
      try {
        const program = (n: number): Reconciler => {
          const [self, peer] = n === 0 ? nodes : [nodes[1], nodes[0]];
          const reconciler = new Reconciler([new RtWriter(RtNetlink.open(spaces[n])), new SysctlWriter(spaces[n]!)]);
          reconciler.contribute('self', planSelf(self, local, config));
          reconciler.contribute(`node ${peer.name}`, planPeer(peer, self, local, config).items);
          assert.deepEqual(reconciler.sync().failures, []);
          return reconciler;
        };
        const first = program(0);
        program(1);

        for (const cidr of nodes[1].podCidrs) {
          assert.ok(
            pings('-I', String(nodes[0].podCidrs.find(({ family }) => family === cidr.family)!.at(5)), String(cidr.at(5))),
            `${cidr} is reached`,
          );
        }
        const mtu = podMtu(nodes[0], [nodes[1]], local, config);
        const payload = (size: number): string[] => ['-M', 'do', '-s', String(size - 28), String(nodes[1].podCidrs[0]!.at(5))];
        assert.ok(pings(...payload(mtu)), `a packet of ${mtu} bytes passes`);
        assert.ok(!answers(1, payload(mtu + 1)), `one of ${mtu + 1} does not`);
        assert.match(run(0, 'ip', 'route', 'get', '10.244.2.5'), /src 172\.30\.0\.11/);
        assert.throws(() => run(0, 'ip', 'route', 'get', '10.244.1.77'), /No route to host/);
        assert.match(run(0, 'ip', 'route', 'get', '10.96.3.4'), /dev podnet-svc src 172\.30\.0\.11/);
        assert.match(run(0, 'ip', 'route', 'get', '10.96.0.10'), /^local 10\.96\.0\.10 dev lo/);

        const again = program(0);
        assert.deepEqual(again.sync().failures, []);
        first.withdraw('node n2');
        first.sync();
        assert.ok(!answers(1, ['-I', '10.244.1.5', '10.244.2.5']), 'without the peer its pods are out of reach');
      } finally {
        for (const n of [0, 1]) NetNs.remove(path(n));
        for (const ns of spaces) ns[Symbol.dispose]();
      }
    },
  );
}
