import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { type Element, Nft, type NftSetSpec } from './index.ts';

const nets: NftSetSpec = { name: 'nets', key: 'ipv4_addr', data: 'classid', flags: ['interval'] };
const nets6: NftSetSpec = { name: 'nets6', key: 'ipv6_addr', data: 'classid', flags: ['interval'] };
const ports: NftSetSpec = { name: 'ports', key: 'classid . inet_proto . inet_service', data: 'classid', flags: ['interval'] };

const pairs = (elements: Record<string, string>): Element[] => Object.entries(elements).map(([key, data]) => ({ key, data }));
const byKey = (elements: readonly Element[]): Element[] => elements.toSorted((a, b) => (a.key < b.key ? -1 : 1));

test('maps of intervals, side by side and cut anew in one transaction, hold what was written', needsRoot, () => {
  using world = new TestWorld('intervals');
  const node = world.namespace('node');
  using nft = Nft.open(node.ns);
  nft.own('podnet');
  nft.transaction('podnet', (t) => void t.addSet(nets).addSet(nets6).addSet(ports));
  const [before, after] = [
    pairs({ '0.0.0.0/1': '0:1', '128.0.0.0-192.0.2.7': '0:2', '192.0.2.8-255.255.255.255': '0:3' }),
    pairs({ '0.0.0.0-9.255.255.255': '0:1', '10.0.0.0/8': '0:4', '11.0.0.0-192.0.2.7': '0:2', '192.0.2.8': '0:5' }),
  ];
  const six = pairs({ '::-fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff': '0:1', 'fd00::/8': '0:2', 'fe00::/7': '0:3' });
  const ranges = pairs({
    ...{ '0:c . tcp . 0-65535': '0:3', '0:14 . tcp . 8000-8080': '0:3' },
    ...{ '0:14 . udp . 8000-8080': 'none', '1:4 . tcp . 80': '0:3' },
  });
  nft.transaction('podnet', (t) => void t.addElements(nets, before).addElements(nets6, six).addElements(ports, ranges));
  assert.deepEqual(byKey(nft.elements('podnet', nets)), byKey(before));
  assert.deepEqual(byKey(nft.elements('podnet', nets6)), byKey(six));
  assert.deepEqual(byKey(nft.elements('podnet', ports)), byKey(ranges));
  // `nft get element` asks for class ids in the host's order, in which nft itself does not write them here.
  assert.match(run(node.path, 'nft', 'list', 'map', 'inet', 'podnet', 'ports'), /0:14 \. tcp \. 8000-8080 : 0:3/);
  nft.transaction('podnet', (t) => void t.deleteElements(nets, before).addElements(nets, after));
  assert.deepEqual(byKey(nft.elements('podnet', nets)), byKey(after));
  assert.match(run(node.path, 'nft', 'list', 'map', 'inet', 'podnet', 'nets'), /10\.0\.0\.0\/8 : 0:4/);
  assert.match(run(node.path, 'nft', 'get', 'element', 'inet', 'podnet', 'nets', '{ 192.0.2.8 }'), /192\.0\.2\.8 : 0:5/);
});
