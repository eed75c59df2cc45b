import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Endpoint, EndpointConditions } from '../../kube/types.ts';
import { PackedSlice } from './packed-slice.ts';

const state = fc.option(fc.boolean(), { nil: undefined });
const conditions: fc.Arbitrary<EndpointConditions> = fc.record({ ready: state, serving: state, terminating: state });
const endpoint: fc.Arbitrary<Endpoint> = fc.record({
  addresses: fc.constantFrom(['10.0.0.1'], ['fd00::1'], ['FD00::0:1'], ['example.com'], ['']),
  nodeName: fc.constantFrom(undefined, 'n1', 'n2'),
  conditions: fc.option(conditions, { nil: undefined }),
  hints: fc.constantFrom(undefined, { forZones: [{ name: 'a' }] }, { forZones: [{ name: 'b' }], forNodes: [{ name: 'n1' }] }),
});

test('a packed slice gives back the endpoints that it was made of, as often as they are asked for', () => {
  fc.assert(
    fc.property(fc.array(endpoint, { maxLength: 20 }), (endpoints) => {
      const slice = new PackedSlice({ metadata: { name: 's' }, addressType: 'IPv4', ports: [{ port: 1 }] }, endpoints);
      const plain = (all: readonly Endpoint[]): unknown => JSON.parse(JSON.stringify(all));
      assert.deepEqual(plain(slice.endpoints), plain(endpoints));
      assert.deepEqual(slice.endpoints, slice.endpoints);
    }),
  );
});

test('of an endpoint with several addresses the first one is kept, and none of one without', () => {
  const endpoints = [{ addresses: ['10.0.0.1', '10.0.0.2'] }, { addresses: [] }];
  const slice = new PackedSlice({ metadata: { name: 's' }, addressType: 'IPv4' }, endpoints);
  assert.deepEqual(
    slice.endpoints.map(({ addresses }) => addresses),
    [['10.0.0.1'], ['']],
  );
});
