import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { example, leftSince, ownLab, stateOf, succeeds } from './testkit/podnet.ts';

/** On two nodes; on three where two of them share a link and another one does not. */
const shapes: Record<string, string[]> = {
  'IPv4, routed, direct': ['--nodes', '2', '--ip-family', 'ipv4'],
  'IPv6, routed, direct': ['--nodes', '2', '--ip-family', 'ipv6'],
  'both families, routed and through VXLAN between two links': ['--ip-family', 'dual', '--links', '2'],
  'both families, on bridges, all through VXLAN': ['--nodes', '2', '--ip-family', 'dual', '--attach', 'bridge', '--backend', 'vxlan'],
};

for (const [index, [shape, flags]] of Object.entries(shapes).entries()) {
  test(
    `NM1, NM2, NM7, NM8 (${shape}): the guestbook runs, the network model holds, and nothing is left behind`,
    needsRoot,
    async () => {
      const names = ownLab(`shape${index}`);
      const before = stateOf(names);
      const printed = await succeeds('lab', 'up', '--name', names.lab, ...flags, '--once', '--apply', example('guestbook.yaml'));
      assert.match(printed, /pods Ready/);
      assert.match(printed, /The network keeps its word/);
      assert.deepEqual(await leftSince(before, names), []);
    },
  );
}
