import { writeSysctl } from '../../kernel/sysctl.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { run } from '../../testing/judge.ts';
import { type TestNs, TestWorld } from '../../testing/netns.ts';
import type { VerifyInput, VerifyPod } from '../input.ts';

/** Two nodes, routed, with two pods and one, and a machine outside: by hand, without an agent. Pods are masqueraded on the way out. */
export class SmallCluster implements Disposable {
  readonly #world = new TestWorld('verify');
  readonly n1: TestNs = this.#world.namespace('n1');
  readonly n2: TestNs = this.#world.namespace('n2');
  readonly outside: TestNs = this.#world.namespace('outside');
  readonly a: TestNs;
  readonly b: TestNs;
  readonly c: TestNs;

  constructor() {
    const { n1, n2, outside } = this;
    for (const { ns } of [n1, n2]) for (const family of ['ipv4', 'ipv6']) writeSysctl(ns, `net/${family}/conf/all/forwarding`, 1);
    this.#world.join(n1, ['172.16.0.1/24', 'fd00:16::1/64'], n2, ['172.16.0.2/24', 'fd00:16::2/64']);
    this.#world.join(n1, ['172.17.1.1/24', 'fd00:17:1::1/64'], outside, ['172.17.1.254/24', 'fd00:17:1::fe/64']);
    this.#world.join(n2, ['172.17.2.1/24', 'fd00:17:2::1/64'], outside, ['172.17.2.254/24', 'fd00:17:2::fe/64']);
    route(n1, '10.244.2.0/24', '172.16.0.2');
    route(n1, 'fd00:244:2::/48', 'fd00:16::2');
    route(n2, '10.244.1.0/24', '172.16.0.1');
    route(n2, 'fd00:244:1::/48', 'fd00:16::1');
    route(n2, '172.17.1.254/32', '172.17.2.254');
    route(n2, 'fd00:17:1::fe/128', 'fd00:17:2::fe');
    this.a = this.#pod('a', n1, '10.244.1', 0, 'fd00:244:1:1');
    this.b = this.#pod('b', n1, '10.244.1', 4, 'fd00:244:1:2');
    this.c = this.#pod('c', n2, '10.244.2', 0, 'fd00:244:2:1');
    for (const node of [n1, n2])
      nft(
        node,
        'add table inet out; add chain inet out post { type nat hook postrouting priority 100; }',
        'add rule inet out post oifname to-outside masquerade',
      );
  }

  get input(): VerifyInput {
    const at = IpAddr.parse;
    const pod = (name: string, node: string, ns: TestNs, ...ips: string[]): VerifyPod => {
      return { namespace: 'default', name, node, netns: ns.path, ips: ips.map(at), hostNetwork: node === name, containers: 1 };
    };
    const n1 = [at('172.16.0.1'), at('fd00:16::1')];
    const n2 = [at('172.16.0.2'), at('fd00:16::2')];
    return {
      nodes: [
        { name: 'n1', addresses: n1, netns: this.n1.path },
        { name: 'n2', addresses: n2, netns: this.n2.path },
      ],
      pods: [
        pod('a', 'n1', this.a, '10.244.1.2', 'fd00:244:1:1::2'),
        pod('b', 'n1', this.b, '10.244.1.6', 'fd00:244:1:2::2'),
        pod('c', 'n2', this.c, '10.244.2.2', 'fd00:244:2:1::2'),
        pod('n2', 'n2', this.n2, '172.16.0.2', 'fd00:16::2'),
      ],
      ...{ services: [], endpointSlices: [], clusterDns: [], clusterDomain: 'cluster.local' },
      outside: { netns: this.outside.path, addresses: [at('172.17.1.254'), at('fd00:17:1::fe')] },
    };
  }

  #pod(name: string, node: TestNs, net4: string, first: number, net6: string): TestNs {
    const pod = this.#world.namespace(name);
    this.#world.join(pod, [`${net4}.${first + 2}/30`, `${net6}::2/64`], node, [`${net4}.${first + 1}/30`, `${net6}::1/64`]);
    // The pod's own addresses, and nobody else's.
    const link = `to-${name}`;
    nft(
      node,
      'add table inet door; add chain inet door pre { type filter hook prerouting priority -450; }',
      `add rule inet door pre iifname ${link} ip saddr != ${net4}.${first + 2} drop`,
      `add rule inet door pre iifname ${link} ip6 saddr != { ${net6}::2, fe80::/10, :: } drop`,
    );
    route(pod, '0.0.0.0/0', `${net4}.${first + 1}`);
    route(pod, '::/0', `${net6}::1`);
    return pod;
  }

  [Symbol.dispose](): void {
    this.#world[Symbol.dispose]();
  }
}

export function route({ rt }: TestNs, destination: string, gateway: string): void {
  rt.addRoute({ destination: Prefix.parse(destination), gateway: IpAddr.parse(gateway) });
}

/** The independent tool, inside a namespace. */
export function nft(where: TestNs, ...commands: string[]): void {
  run(where.path, 'nft', commands.join('; '));
}
