import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint, EndpointSlice } from '../kube/types.ts';
import { type Family, families } from '../net/ip.ts';
import { backendsOf, chooseBackends } from './endpoints.ts';
import type { ServiceNode } from './node.ts';

const node: ServiceNode = { name: 'n1', zone: 'east', addresses: [], podCidrs: [], serviceCidrs: [] };
type Conditions = Endpoint['conditions'];
const ready: Conditions = { ready: true, serving: true, terminating: false };
const ending: Conditions = { ready: false, serving: true, terminating: true };
const failing: Conditions = { ready: false, serving: false, terminating: false };

for (const family of families) {
  const address = (n: number): string => (family === 'ipv4' ? `10.244.0.${n}` : `fd00::${n}`);
  const endpoint = (n: number, rest: Partial<Endpoint> = {}): Endpoint => ({ addresses: [address(n)], conditions: ready, ...rest });
  const slice = (endpoints: Endpoint[], rest: Partial<EndpointSlice> = {}): EndpointSlice => ({
    metadata: { name: 's', namespace: 'default' },
    ...{ addressType: family === 'ipv4' ? 'IPv4' : 'IPv6', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], endpoints },
    ...rest,
  });
  const backends = (slices: EndpointSlice[], at = node, of: Family = family) => backendsOf(slices, 'http', 'tcp', of, at);
  /** Last parts of the addresses of a set. */
  const chosen = (endpoints: Endpoint[], set: 'cluster' | 'local' | 'serving' = 'cluster', at = node): number[] =>
    chooseBackends(backends([slice(endpoints)], at), at)[set].map((backend) => Number(/\d+$/.exec(`${backend.address}`)![0])).sort();
  const hints = (zones: string[], nodes: string[] = []): Partial<Endpoint> => ({
    hints: {
      ...(zones.length > 0 ? { forZones: zones.map((name) => ({ name })) } : {}),
      ...(nodes.length > 0 ? { forNodes: nodes.map((name) => ({ name })) } : {}),
    },
  });

  test(`SD5 (${family}): ready endpoints; without any those that end and still serve; never one that does not serve`, () => {
    const ended = endpoint(4, { conditions: { ready: false, serving: false, terminating: true } });
    const all = [endpoint(1), endpoint(2, { conditions: ending }), endpoint(3, { conditions: failing }), ended];
    assert.deepEqual(chosen(all), [1]);
    assert.deepEqual(chosen(all.slice(1)), [2]);
    assert.deepEqual(chosen(all.slice(2)), []);
    assert.deepEqual(chosen([endpoint(5, { conditions: { ready: false, serving: true, terminating: false } })]), [], 'serving, neither ready nor ending');
  });

  test(`SD5, SD19 (${family}): the Local set is judged for itself, by the endpoint's nodeName`, () => {
    const here = { nodeName: 'n1' };
    const all = [endpoint(1, { nodeName: 'n2' }), endpoint(2, { conditions: ending, ...here }), endpoint(3, { conditions: failing, ...here })];
    assert.deepEqual(chosen(all), [1]);
    assert.deepEqual(chosen(all, 'local'), [2], 'ends here, while elsewhere one is ready');
    assert.deepEqual(chosen([...all, endpoint(4, here)], 'local'), [4]);
    assert.deepEqual(chosen([endpoint(1), endpoint(2, { nodeName: 'N1' })], 'local'), []);
  });

  test(`SD25 (${family}): connections live on to whoever serves, ready or not, near or far`, () => {
    const all = [endpoint(1, hints(['east'])), endpoint(2, { conditions: ending }), endpoint(3, { conditions: failing })];
    assert.deepEqual(chosen(all, 'serving'), [1, 2]);
  });

  test(`SD17, SA16 (${family}): hints for this node win over those for its zone, which win over none`, () => {
    const all = [endpoint(1, hints(['east'], ['n1'])), endpoint(2, hints(['east'], ['n2'])), endpoint(3, hints(['west'], ['n3']))];
    assert.deepEqual(chosen(all), [1]);
    assert.deepEqual(chosen(all, 'cluster', { ...node, name: 'n9' }), [1, 2]);
    assert.deepEqual(chosen(all, 'cluster', { ...node, name: 'n9', zone: 'west' }), [3], 'the zone of the node counts as it is now');
    assert.deepEqual(chosen(all, 'cluster', { ...node, name: 'n9', zone: 'north' }), [1, 2, 3]);
    assert.deepEqual(chosen(all, 'cluster', { ...node, name: 'n9', zone: undefined }), [1, 2, 3]);
  });

  test(`SD17 (${family}): one ready endpoint without a hint, and all count; one that is not ready does not matter`, () => {
    const near = endpoint(1, hints(['east']));
    assert.deepEqual(chosen([near, endpoint(2)]), [1, 2]);
    assert.deepEqual(chosen([near, endpoint(2, hints([]))]), [1, 2]);
    assert.deepEqual(chosen([near, endpoint(2, { conditions: ending })]), [1]);
    assert.deepEqual(chosen([near, endpoint(2, hints(['west'])), endpoint(3, hints(['east', 'west']))]), [1, 3]);
    assert.deepEqual(chosen([endpoint(1, { ...hints(['east']), conditions: ending }), endpoint(2, { ...hints(['west']), conditions: ending })]), [1, 2]);
  });

  test(`SD17 (${family}): policy Local takes all that are here, whatever their hints`, () => {
    assert.deepEqual(chosen([endpoint(1, { nodeName: 'n1', ...hints(['west'], ['n2']) }), endpoint(2, hints(['east'], ['n1']))], 'local'), [1]);
  });

  test(`SD18 (${family}): slices are merged, whoever manages them; of two entries for one address the readier counts, in any order`, () => {
    const slices = [slice([endpoint(1, { conditions: failing }), endpoint(2)]), slice([endpoint(1), endpoint(3)]), slice([endpoint(1, { conditions: ending })])];
    for (const order of [slices, slices.toReversed()]) {
      const found = backends(order);
      assert.equal(found.length, 3);
      assert.equal(found.find(({ key }) => key.startsWith(`${address(1)} `))?.ready, true);
    }
    assert.equal(backends([slice([endpoint(1)]), slice([endpoint(1)], { ports: [{ name: 'http', port: 81 }] })]).length, 2, 'ports differ');
  });

  test(`SD18, SD19 (${family}): of two equally ready entries for one address the one on this node counts, of others always the same, in any order`, () => {
    const cases: [better: Partial<Endpoint>, worse: Partial<Endpoint>][] = [
      [{ nodeName: 'n1' }, { nodeName: 'n2' }],
      [{ nodeName: 'n1' }, {}],
      [hints(['east']), {}],
      [hints(['east']), hints(['west'])],
      [{ conditions: ending }, { conditions: { ready: false, serving: true, terminating: false } }],
      [{ conditions: ending }, { nodeName: 'n1', conditions: { ready: false, serving: true, terminating: false } }],
    ];
    for (const [better, worse] of cases) {
      const slices = [slice([endpoint(1, better)]), slice([endpoint(1, worse)])];
      const [expected] = backends([slices[0]!]);
      for (const order of [slices, slices.toReversed()]) assert.deepEqual(backends(order), [expected], JSON.stringify([better, worse]));
    }
  });

  test(`SA15, SD25 (${family}): who is published as ready though it is not goes on to be served by the connections that it has`, () => {
    assert.deepEqual(chosen([endpoint(1, { conditions: { ready: true, serving: false, terminating: false } })], 'serving'), [1]);
    assert.deepEqual(chosen([endpoint(1, { conditions: failing }), endpoint(2, { conditions: ending })], 'serving'), [2]);
  });

  test(`SD18 (${family}): nil conditions mean ready, nil ports and other families, names and FQDNs are left out, and the first address counts`, () => {
    assert.equal(backends([slice([{ addresses: [address(1)] }])])[0]?.ready, true);
    assert.deepEqual(chosen([{ addresses: [address(1), address(2)] }]), [1]);
    for (const rest of [
      { ports: undefined },
      { ports: [{ name: 'http' }] },
      { ports: [{ name: 'other', port: 80 }] },
      { ports: [{ name: 'http', port: 80, protocol: 'UDP' }] },
      { addressType: 'FQDN' },
      { addressType: family === 'ipv4' ? 'IPv6' : 'IPv4' },
    ] as Partial<EndpointSlice>[])
      assert.deepEqual(backends([slice([endpoint(1)], rest)]), [], JSON.stringify(rest));
  });

  test(`SD21, F18 (${family}): addresses that must not be sent to, and what is none, are left out alone`, () => {
    const bad = {
      ipv4: ['127.0.0.1', '169.254.169.254', '224.0.0.1', '0.0.0.0', '10.244.0.01', 'fd00::1', 'x', ''],
      ipv6: ['::1', 'fe80::1', 'ff02::1', '::', '::ffff:10.0.0.1', '10.244.0.1', 'x', ''],
    }[family];
    assert.deepEqual(chosen([...bad.map((text) => ({ addresses: [text] })), { addresses: [] }, endpoint(7)]), [7]);
  });
}
