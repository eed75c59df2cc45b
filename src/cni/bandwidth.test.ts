import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bandwidthOfAnnotations, parseBandwidth } from './bandwidth.ts';

const annotations = (ingress?: unknown, egress?: unknown): Record<string, unknown> => ({
  ...(ingress === undefined ? {} : { 'kubernetes.io/ingress-bandwidth': ingress }),
  ...(egress === undefined ? {} : { 'kubernetes.io/egress-bandwidth': egress }),
});

test('CNI13: bandwidth is rates and bursts in bits; zeros and nothing are no limit', () => {
  for (const [bandwidth, expected] of [
    [undefined, undefined],
    [null, undefined],
    [{}, undefined],
    [{ ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 }, undefined],
    [{ ingressRate: 1000 }, { ingress: { rate: 1000 } }],
    // As containerd writes it.
    [{ IngressRate: 0, IngressBurst: 0, EgressRate: 1000, EgressBurst: 2 ** 32 - 1 }, { egress: { rate: 1000 } }],
    [{ egressRate: 1000, egressBurst: 24_000 }, { egress: { rate: 1000, burst: 24_000 } }],
    [
      { ingressRate: 2 ** 63, ingressBurst: 8, egressRate: 1, egressBurst: 8 },
      { ingress: { rate: 2 ** 63, burst: 8 }, egress: { rate: 1, burst: 8 } },
    ],
  ] as const)
    assert.deepEqual(parseBandwidth({ bandwidth }), expected, JSON.stringify(bandwidth));
});

test('CNI13: bursts that runtimes write when nobody asked for one are none', () => {
  for (const burst of [2 ** 31 - 1, 2 ** 32 - 1, (2 ** 32 - 1) * 8, (2 ** 32 - 1) * 8 - 1])
    assert.deepEqual(parseBandwidth({ bandwidth: { ingressRate: 1000, ingressBurst: burst, egressBurst: burst } }), {
      ingress: { rate: 1000 },
    });
});

test('CNI2, CNI13: what is no bandwidth is refused with the key and the value', () => {
  for (const [bandwidth, message] of [
    [{ ingressRate: -1 }, /^runtimeConfig\.bandwidth\.ingressRate is -1: expected a whole number of bits a second/],
    [{ egressRate: 0.5 }, /^runtimeConfig\.bandwidth\.egressRate is 0\.5: /],
    [{ egressRate: '1M' }, /^runtimeConfig\.bandwidth\.egressRate is "1M": /],
    [{ ingressRate: 2e19 }, /^runtimeConfig\.bandwidth\.ingressRate is 20000000000000000000: .*at most 18446744073709552000/],
    [{ ingressRate: 1000, ingressBurst: -8 }, /^runtimeConfig\.bandwidth\.ingressBurst is -8: /],
    [
      { ingressRate: 1000, ingressBurst: 2 ** 36 },
      /^runtimeConfig\.bandwidth\.ingressBurst is 68719476736: .*at most 34359738360/,
    ],
    [{ egressBurst: 1000 }, /^runtimeConfig\.bandwidth\.egressBurst is 1000: expected none without egressRate/],
    ['1M', /^runtimeConfig\.bandwidth is "1M": expected an object/],
    [[], /^runtimeConfig\.bandwidth is \[\]: expected an object/],
  ] as const)
    assert.throws(() => parseBandwidth({ bandwidth }), { code: 7, message }, JSON.stringify(bandwidth));
});

test('CRI11: annotations are quantities between 1k and 1P; what the runtime says goes before them', () => {
  for (const [value, rate] of [
    ['1k', 1000],
    ['1M', 1e6],
    ['10Mi', 10 << 20],
    ['1500000500m', 1_500_001],
    ['1e6', 1e6],
    ['1P', 1e15],
  ] as const)
    assert.deepEqual(bandwidthOfAnnotations(annotations(value, value)), { ingress: { rate }, egress: { rate } }, value);
  assert.equal(bandwidthOfAnnotations({ 'example.org/x': 'y' }), undefined);
  for (const value of ['0.5k', '2P', '-1M', '1X', '', 'fast', 5])
    assert.throws(() => bandwidthOfAnnotations(annotations(undefined, value)), {
      code: 7,
      message: `the pod's annotation kubernetes.io/egress-bandwidth is ${JSON.stringify(value)}: expected bits a second between 1k and 1P, e.g. 10M`,
    });
  const both = { 'io.kubernetes.cri.pod-annotations': annotations('1M', '2M') };
  assert.deepEqual(parseBandwidth(both), { ingress: { rate: 1e6 }, egress: { rate: 2e6 } });
  assert.deepEqual(parseBandwidth({ ...both, bandwidth: {} }), { ingress: { rate: 1e6 }, egress: { rate: 2e6 } });
  assert.deepEqual(parseBandwidth({ ...both, bandwidth: { egressRate: 5000 } }), { egress: { rate: 5000 } });
});
