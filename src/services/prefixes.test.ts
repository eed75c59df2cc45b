import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { withoutCovered } from './prefixes.ts';

/** Few addresses of many lengths, so that they overlap often. */
const prefix = fc
  .tuple(fc.constantFrom('10.0.0.0', '10.0.0.128', '10.0.1.0', '10.1.0.0', 'fd00::', 'fd00::1', 'fd00:1::', '::'), fc.nat(128))
  .map(([text, length]) => {
    const address = IpAddr.parse(text);
    return Prefix.of(address, address.family === 'ipv4' ? length % 33 : length);
  });

test('of prefixes that overlap, those that no other contains are left, each once and of both families', () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 12 }), (all) => {
      const unique = [...new Map(all.map((one) => [`${one}`, one])).values()];
      const wanted = unique.filter((one) => !unique.some((other) => other !== one && other.contains(one)));
      assert.deepEqual(withoutCovered(all).map(String).sort(), wanted.map(String).sort());
    }),
  );
});

test('what is not masqueraded is found among the addresses of thousands of nodes by few comparisons, not by all pairs', () => {
  const nodes = Array.from({ length: 4000 }, (_, i) => Prefix.host(IpAddr.parse('fd30::').offset(i + 1)));
  let compared = 0;
  for (const node of nodes) {
    const { contains } = node;
    node.contains = (other) => {
      compared++;
      return contains.call(node, other);
    };
  }
  assert.equal(withoutCovered(nodes).length, nodes.length);
  assert.ok(compared < 2 * nodes.length, `${compared} comparisons`);
});
