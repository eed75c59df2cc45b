import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeSysctl } from '../../kernel/sysctl.ts';
import { families, type Family, IpAddr } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { addressOf, ask, PolicyBed, type Row } from './testkit/testbed.ts';

const ip = { ipv4: 'ip', ipv6: 'ip6' } as const;
const [forgedPort, honestPort] = [8080, 8081];

/** Where forged packets come from: the link to a neighbour, or a tunnel on it, by which all goes to b then. */
type Way = 'neighbour' | 'tunnel';

/** As tunnels between nodes are, with what one end must know of the other. */
function tunnel(bed: PolicyBed, family: Family): void {
  const [node, far] = [bed.node, bed.namespace('far')];
  for (const [here, there, link] of [
    [node, 'peer', 'to-far'],
    [far, 'node', 'to-node'],
  ] as const) {
    const [local, remote] = [addressOf(there === 'peer' ? 'node' : 'peer', 'ipv4'), addressOf(there, 'ipv4')];
    run(here.path, ...['ip', 'link', 'add', 'tun', 'up', 'type', 'vxlan', 'id', '7', 'dstport', '4789'], ...['local', local, 'remote', remote, 'dev', link]);
  }
  writeSysctl(node.ns, 'net/ipv4/conf/tun/rp_filter', '0');
  const b = addressOf('b', family);
  const [, mac = ''] = /link\/ether (\S+)/.exec(run(node.path, 'ip', 'link', 'show', 'tun'))!;
  run(far.path, 'ip', 'route', 'add', `${b}/${family === 'ipv4' ? 32 : 128}`, 'dev', 'tun');
  run(far.path, 'ip', 'neigh', 'replace', b, 'lladdr', mac, 'dev', 'tun');
}

/** What a neighbour sends to b at `forgedPort` bears the address of another; whether it arrives at b. */
class Forger {
  readonly #bed: PolicyBed;
  readonly #family: Family;

  constructor(bed: PolicyBed, family: Family, way: Way) {
    this.#bed = bed;
    this.#family = family;
    // As systems are that leave it to others who sends what: here policies must see to it alone.
    for (const link of ['all', 'to-far']) writeSysctl(bed.node.ns, `net/ipv4/conf/${link}/rp_filter`, '0');
    if (way === 'tunnel') tunnel(bed, family);
    bed.serveUdp('b', family, honestPort);
    run(
      bed.namespace('b').path,
      ...['nft', `table inet seen { chain seen { type filter hook prerouting priority -450; udp dport ${forgedPort} counter; }; }`],
    );
  }

  #count(ns: string): number {
    return Number(/packets (\d+)/.exec(run(this.#bed.namespace(ns).path, 'nft', 'list', 'table', 'inet', 'seen'))![1]);
  }

  async arrives(as: string): Promise<boolean> {
    const [bed, family, name] = [this.#bed, this.#family, ip[this.#family]];
    const { path } = bed.namespace('far');
    const rewrite = `udp dport ${forgedPort} ${name} saddr set ${addressOf(as, family)}`;
    run(path, 'nft', `table inet forge { chain out { type filter hook postrouting priority 0; ${rewrite}; }; }`);
    const before = this.#count('b');
    bed.udp('far', family).send(Buffer.from('forged'), IpAddr.parse(addressOf('b', family)), forgedPort);
    // What is answered was sent after it.
    assert.equal(await ask(bed.udp('far', family), addressOf('b', family), honestPort), 'question');
    run(path, 'nft', 'delete', 'table', 'inet', 'forge');
    return this.#count('b') > before;
  }
}

for (const [bridge, way] of [
  [undefined, 'neighbour'],
  ['cbr0', 'neighbour'],
  [undefined, 'tunnel'],
] as const)
  for (const family of families) {
    const here: Row[] = ['a', 'b', 'c'].map((pod) => ['here', pod] as const);
    /** Whom b hears, all of them by an identity of their own. */
    const heard = ['a', 'node', 'far'] as const;
    const isolated: Row[] = [
      ['ingress-default', 'b', 'none'],
      ...(['0:1', '0:6', '0:4'] as const).map((identity): Row => ['ingress', `${identity} . b`, '0:3']),
    ];

    test(
      `NP9, NP12 (${bridge === undefined ? 'routed' : 'bridge'}, ${family}): a ${way === 'tunnel' ? 'machine at the other end of a tunnel' : 'neighbour of the node'} that sends in the name of the node or of one of its pods reaches no pod`,
      needsRoot,
      async () => {
        await using bed = new PolicyBed(bridge === undefined ? {} : { bridge });
        const forger = new Forger(bed, family, way);
        const all = async (): Promise<string[]> => {
          const found: string[] = [];
          for (const as of heard) if (await forger.arrives(as)) found.push(as);
          return found;
        };
        bed.say(family, ...isolated);
        assert.deepEqual(await all(), ['a', 'far'], 'a pod is known by its address alone');
        bed.say(family, ...isolated, ...here);
        assert.deepEqual(await all(), ['far']);
        bed.say(family, ...here);
        assert.deepEqual(await all(), ['far'], 'nor whom no policy keeps from hearing it');
        const [, forged] = /counter policy-forged \{\s+packets (\d+)/.exec(
          run(bed.node.path, 'nft', 'list', 'counter', 'inet', 'podnet', 'policy-forged'),
        )!;
        // The kernel itself leaves out the node's own IPv4 addresses.
        assert.equal(Number(forged), family === 'ipv4' ? 2 : 5);
        if (way === 'tunnel') {
          const [{ stats64 }] = JSON.parse(run(bed.node.path, 'ip', '-s', '-j', 'link', 'show', 'tun')) as [{ stats64: { rx: { packets: number } } }];
          assert.ok(stats64.rx.packets >= 18, 'all of it came by the tunnel');
        }
        // The node and the pods themselves are heard as ever.
        for (const name of ['node', 'a']) assert.equal(await ask(bed.udp(name, family), addressOf('b', family), honestPort), 'question');
      },
    );
  }

