import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { Nft, type NftSetSpec } from './index.ts';

const ports: NftSetSpec = { name: 'ports', key: 'ipv4_addr . inet_proto . inet_service', data: 'classid', flags: [] };
const names: NftSetSpec = { name: 'addresses', key: 'ipv6_addr', flags: [] };

test(
  'keys are looked up in a set or map, each for itself: those that are there with their data, the others not at all',
  needsRoot,
  () => {
    using world = new TestWorld('find');
    const node = world.namespace('node');
    using nft = Nft.open(node.ns);
    assert.deepEqual([...nft.find('podnet', ports, ['10.96.0.1 . tcp . 80'])], [], 'there is no table');
    nft.own('podnet');
    nft.transaction('podnet', (t) => void t.addSet(ports).addSet(names));
    nft.transaction('podnet', (t) => {
      t.addElements(ports, [
        { key: '10.96.0.1 . tcp . 80', data: '0:2001' },
        { key: '10.96.0.2 . udp . 53', data: '1:2' },
      ]);
      t.addElements(names, [{ key: 'fd00::1' }]);
    });
    const wanted = ['10.96.0.9 . tcp . 80', '10.96.0.1 . tcp . 80', '10.96.0.1 . udp . 80', '10.96.0.2 . udp . 53'];
    assert.deepEqual(Object.fromEntries(nft.find('podnet', ports, wanted)), {
      '10.96.0.1 . tcp . 80': { key: '10.96.0.1 . tcp . 80', data: '0:2001' },
      '10.96.0.2 . udp . 53': { key: '10.96.0.2 . udp . 53', data: '1:2' },
    });
    assert.match(run(node.path, 'nft', 'get', 'element', 'inet', 'podnet', 'ports', '{ 10.96.0.1 . tcp . 80 }'), /: 0:2001/);
    assert.deepEqual([...nft.find('podnet', names, ['fd00::2', 'fd00::1'])], [['fd00::1', { key: 'fd00::1' }]]);
    assert.deepEqual([...nft.find('podnet', names, [])], []);
    // More than one system call's worth of answers.
    const many = Array.from({ length: 5000 }, (_, i) => `10.1.${i >> 8}.${i & 255} . tcp . 80`);
    nft.transaction(
      'podnet',
      (t) =>
        void t.addElements(
          ports,
          many.map((key, i) => ({ key, data: `1:${(i + 1).toString(16)}` })),
        ),
    );
    const found = nft.find('podnet', ports, [...many, '10.9.9.9 . tcp . 80']);
    assert.deepEqual([found.size, found.get(many[4999]!)!.data], [5000, '1:1388']);
  },
);
