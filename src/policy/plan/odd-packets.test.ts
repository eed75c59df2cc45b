import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families, IpAddr } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { oddPackets, RawSender } from './testkit/odd-packets.ts';
import { addressOf, ask, PolicyBed, type Row } from './testkit/testbed.ts';

/** What is allowed, and by which it is known that all that was sent before has arrived. */
const lastPort = 9999;

for (const family of families)
  test(`T20, NP18 (${family}): fragments, options, extension headers, odd flags and other protocols pass by no policy, at neither end`, needsRoot, async () => {
    await using bed = new PolicyBed();
    const of = (name: string): IpAddr => IpAddr.parse(addressOf(name, family));
    bed.serveUdp('b', family, lastPort);
    const { path } = bed.namespace('b');
    const from = `${family === 'ipv4' ? 'ip' : 'ip6'} saddr ${of('a')}`;
    run(path, 'nft', `table inet seen { chain seen { type filter hook prerouting priority -450; ${from} udp dport ${lastPort} accept; ${from} counter; }; }`);
    const seen = (): number => Number(/packets (\d+)/.exec(run(path, 'nft', 'list', 'table', 'inet', 'seen'))![1]);
    using sender = new RawSender(bed.namespace('a').ns, family);
    /** Those that arrive. @param nth tells connections of one go from those of another */
    const arriving = async (nth: number): Promise<string[]> => {
      const found: string[] = [];
      for (const [name, packets] of oddPackets(of('a'), of('b'), { source: 40_000 + nth * 100, destination: 8081 })) {
        const before = seen();
        for (const packet of packets) sender.send(packet, of('b'));
        assert.equal(await ask(bed.udp('a', family), addressOf('b', family), lastPort), 'question');
        if (seen() > before) found.push(name);
      }
      return found;
    };
    const all = oddPackets(of('a'), of('b'), { source: 1, destination: 1 }).map(([name]) => name);
    assert.ok(all.length >= 15);
    bed.say(family);
    assert.deepEqual(await arriving(0), all, 'without policies');
    const ports: Row[] = [
      ['ports', '0:8 . tcp . 8080', '0:3'],
      ['ports', `0:8 . udp . ${lastPort}`, '0:3'],
    ];
    bed.say(family, ['ingress-default', 'b', 'none'], ['ingress', '0:1 . b', '0:8'], ...ports);
    assert.deepEqual(await arriving(1), [], 'ingress');
    bed.say(family, ['egress-default', 'a', 'none'], ['egress', '0:2 . a', '0:8'], ...ports);
    assert.deepEqual(await arriving(2), [], 'egress');
  });
