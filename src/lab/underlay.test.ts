import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { basename } from 'node:path';
import { test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { labConfig } from './config.ts';
import { LabNames } from './names.ts';
import { topology } from './topology.ts';
import { createUnderlay, namespacesOf, removeNamespaces } from './underlay.ts';

const ping = (netns: string, address: string): void => {
  execFileSync('ip', ['netns', 'exec', basename(netns), 'ping', '-n', '-c1', '-i0.2', '-w5', address], { stdio: 'pipe' });
};
const hostLinks = (): string =>
  execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).replaceAll(/ (state|mode|group) .*/g, '');

for (const ipFamily of ['ipv4', 'ipv6', 'dual'] as const) {
  test(
    `nodes reach each other, the API's address and the outside on a ${ipFamily} underlay of two links, and removing it leaves nothing`,
    needsRoot,
    () => {
      const names = new LabNames(`t${ipFamily}${process.pid}`);
      const before = hostLinks();
      const plan = topology(labConfig({ name: names.lab, nodes: 3, links: 2, ipFamily }));
      try {
        createUnderlay(names, plan, 1500);
        const [first, second, third] = plan.nodes.map((node) => ({ ...node, netns: names.node(node.name).netns }));
        assert.ok(first && second && third);
        const reached = [...second.interfaces, ...third.interfaces, ...plan.outside.client].map(({ address }) => address);
        for (const address of [...reached, ...plan.apiAddresses]) ping(first.netns, String(address));
        for (const address of plan.apiAddresses) ping(second.netns, String(address));
        for (const { address } of second.interfaces) ping(names.outside, String(address));
      } finally {
        removeNamespaces(names);
      }
      assert.deepEqual(namespacesOf(names), []);
      removeNamespaces(names);
      assert.equal(hostLinks(), before);
    },
  );
}
