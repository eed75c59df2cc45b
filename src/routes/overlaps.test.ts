import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prefix } from '../net/prefix.ts';
import { overlapsOf, overlapWords } from './overlaps.ts';
import type { RouteNode } from './plan.ts';

const node = (name: string, created: number, ...podCidrs: string[]): RouteNode => ({
  ...{ name, addresses: [], podCidrs: podCidrs.map(Prefix.parse) },
  created: new Date(created * 1000).toISOString(),
});

/** In words, whatever order the nodes are told in. */
function found(...nodes: RouteNode[]): string[] {
  const words = (list: readonly RouteNode[]): string[] =>
    [...overlapsOf(list)].flatMap(([name, overlaps]) => overlaps.map((one) => overlapWords(name, one))).sort();
  const straight = words(nodes);
  assert.deepEqual(words(nodes.toReversed()), straight);
  return straight;
}

test('F27: of two nodes with the same pod CIDR the older keeps it, by name when both were made in the same second', () => {
  const told = (loser: string, holder: string): string[] => [
    `the pod CIDR 10.1.0.0/24 of node ${loser} overlaps 10.1.0.0/24 of node ${holder}, which had it before`,
  ];
  assert.deepEqual(found(node('a', 2, '10.1.0.0/24'), node('b', 1, '10.1.0.0/24')), told('a', 'b'));
  assert.deepEqual(found(node('a', 1, '10.1.0.0/24'), node('b', 1, '10.1.0.0/24')), told('b', 'a'));
});

test('F27: wider and narrower pod CIDRs overlap, in both families, and what is only near does not', () => {
  assert.deepEqual(found(node('a', 1, '10.1.0.0/24', 'fd01::/64'), node('b', 2, '10.1.1.0/24', 'fd01:0:0:1::/64')), []);
  assert.deepEqual(found(node('old', 1, '10.1.0.0/16'), node('new', 2, '10.1.7.0/24', 'fd01::/64')), [
    'the pod CIDR 10.1.7.0/24 of node new overlaps 10.1.0.0/16 of node old, which had it before',
  ]);
  assert.deepEqual(found(node('old', 1, 'fd01:0:0:7::/64', '10.1.7.0/24'), node('new', 2, 'fd01::/48', '10.2.0.0/16')), [
    'the pod CIDR fd01::/48 of node new overlaps fd01:0:0:7::/64 of node old, which had it before',
  ]);
});

test('F27: who has lost a pod CIDR takes it from nobody else', () => {
  // b overlaps a and loses all of its own; c overlaps b alone.
  assert.deepEqual(found(node('a', 1, '10.1.0.0/24'), node('b', 2, '10.1.0.0/16'), node('c', 3, '10.1.9.0/24')), [
    'the pod CIDR 10.1.0.0/16 of node b overlaps 10.1.0.0/24 of node a, which had it before',
  ]);
});
