import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ApiError, KubeObject, Resource } from '../../kube/api.ts';
import { findResource } from '../resources.ts';
import { servedCrds } from '../schema/crds.ts';
import { apiForTests } from '../testkit/server.ts';
import { celRules } from './cel-rules.ts';

const group = 'policy.networking.k8s.io';
const cnps = findResource(group, 'v1alpha2', 'clusternetworkpolicies')!;
const anps = findResource(group, 'v1alpha1', 'adminnetworkpolicies')!;
const banps = findResource(group, 'v1alpha1', 'baselineadminnetworkpolicies')!;

const subject = { namespaces: {} };
const cnp = (more: object): object => ({ tier: 'Admin', priority: 1, subject, ...more });
const to = (peer: object, more: object = {}): object => cnp({ egress: [{ action: 'Accept', to: [peer], ...more }] });
const port = (destinationPort: object): object => ({
  ...cnp({ ingress: [{ action: 'Accept', from: [{ namespaces: {} }], protocols: [{ tcp: { destinationPort } }] }] }),
});
const many = (count: number, one: object): object[] => Array.from({ length: count }, () => one);
const rule = { action: 'Deny', from: [{ namespaces: {} }] };

/** What is wrong, and what the server says of it. */
const faults: [of: Resource, spec: object, text: RegExp][] = [
  [
    cnps,
    cnp({ priority: 1001 }),
    /spec\.priority: Invalid value: 1001: spec\.priority in body should be less than or equal to 1000$/,
  ],
  [cnps, cnp({ priority: -1 }), /spec\.priority in body should be greater than or equal to 0$/],
  [cnps, { tier: 'Admin', subject }, /: spec\.priority: Required value$/],
  [cnps, { tier: 'Admin', priority: 1 }, /: spec\.subject: Required value$/],
  [cnps, cnp({ tier: 'Default' }), /spec\.tier: Unsupported value: "Default": supported values: "Admin", "Baseline"$/],
  [cnps, cnp({ subject: {} }), /spec\.subject: Invalid value: 0: spec\.subject in body should have at least 1 properties$/],
  [
    ...([cnps, cnp({ subject: { namespaces: {}, pods: { namespaceSelector: {}, podSelector: {} } } })] as const),
    /spec\.subject: Too many: 2: must have at most 1 items$/,
  ],
  [cnps, cnp({ ingress: many(26, rule) }), /spec\.ingress: Too many: 26: must have at most 25 items$/],
  [anps, { priority: 1, subject, ingress: many(101, rule) }, /spec\.ingress: Too many: 101: must have at most 100 items$/],
  [
    cnps,
    cnp({ ingress: [{ action: 'Allow', from: [{ namespaces: {} }] }] }),
    /spec\.ingress\[0\]\.action: Unsupported value: "Allow"/,
  ],
  [anps, { priority: 1, subject, ingress: [{ ...rule, action: 'Accept' }] }, /supported values: "Allow", "Deny", "Pass"$/],
  [banps, { subject, ingress: [{ ...rule, action: 'Pass' }] }, /supported values: "Allow", "Deny"$/],
  [cnps, cnp({ ingress: [{ ...rule, from: [] }] }), /spec\.ingress\[0\]\.from in body should have at least 1 items$/],
  [cnps, cnp({ ingress: [{ action: 'Deny' }] }), /spec\.ingress\[0\]\.from: Required value$/],
  [
    cnps,
    cnp({ ingress: [{ ...rule, name: 'x'.repeat(101) }] }),
    /spec\.ingress\[0\]\.name: Too long: may not be more than 100 bytes$/,
  ],
  [cnps, port({ number: 65536 }), /destinationPort\.number in body should be less than or equal to 65535$/],
  [cnps, port({ number: 0 }), /destinationPort\.number in body should be greater than or equal to 1$/],
  [
    cnps,
    port({ range: { start: 9, end: 9 } }),
    /destinationPort\.range: Invalid value: "object": Start port must be less than End port$/,
  ],
  [cnps, port({ range: { start: 9 } }), /destinationPort\.range\.end: Required value$/],
  [
    cnps,
    to({ networks: ['10.0.0.0'] }),
    /spec\.egress\[0\]\.to\[0\]\.networks\[0\]: Invalid value: "10\.0\.0\.0": Invalid CIDR format provided$/,
  ],
  [cnps, to({ networks: ['::ffff:10.0.0.0/104'] }), /Invalid CIDR format provided$/],
  [cnps, to({ networks: ['10.0.0.0/8', '10.0.0.0/8'] }), /networks\[1\]: Duplicate value: "10\.0\.0\.0\/8"$/],
  [cnps, to({ domainNames: ['a.*.org'] }), /domainNames\[0\]: Invalid value: "a\.\*\.org": .* in body should match '\^/],
  [
    ...([cnps, to({ nodes: {} }, { protocols: [{ destinationNamedPort: 'web' }] })] as const),
    /spec\.egress\[0\]: Invalid value: "object": networks\/nodes\/domainNames peer cannot be set with namedPorts/,
  ],
  [
    ...([
      anps,
      { priority: 1, subject, egress: [{ action: 'Allow', to: [{ nodes: {} }], ports: [{ namedPort: 'web' }] }] },
    ] as const),
    /spec\.egress\[0\]: Invalid value: "object": networks\/nodes\/domainNames peer cannot be set with namedPorts/,
  ],
];

describe('custom resources', () => {
  const api = apiForTests();

  const create = (resource: Resource, name: string, spec: object): Promise<KubeObject> =>
    api.create(resource, { metadata: { name }, spec } as KubeObject);
  const refused = (text: RegExp) => (error: ApiError) => error.code === 422 && text.test(error.message);

  test('every rule in CEL that a definition has is known', () => {
    const rules = JSON.stringify(servedCrds()).matchAll(/"rule":"((?:[^"\\]|\\.)*)"/g);
    const texts = new Set([...rules].map(([, text]) => JSON.parse(`"${text}"`) as string));
    assert.deepEqual([...texts].sort(), [...celRules.keys()].sort());
  });

  test('CNP: what the definitions forbid is refused, with the field and the words of the real server', async () => {
    for (const [resource, spec, text] of faults)
      await assert.rejects(create(resource, resource === banps ? 'default' : 'x', spec), refused(text), `${text}`);
  });

  test('CNP: what they allow is stored as it was sent: host bits of a CIDR, zero, empty selectors', async () => {
    const spec = cnp({
      ...{ priority: 0, tier: 'Baseline' },
      ingress: [{ name: '', action: 'Accept', from: [{ pods: { namespaceSelector: {}, podSelector: {} } }] }],
      egress: [{ action: 'Deny', to: [{ domainNames: ['*.example.org'] }, { networks: ['10.1.2.3/8', 'fd00::1/8'] }] }],
    });
    const made = await create(cnps, 'allowed', spec);
    assert.deepEqual((made as { spec?: object }).spec, spec);
    assert.equal(made.metadata.generation, 1);
  });

  test('ANP, BANP: a protocol that is absent is TCP; the one baseline policy is called default', async () => {
    const ports = [{ portNumber: { port: 80 } }, { portRange: { start: 1, end: 2 } }, { namedPort: 'web' }];
    const made = await create(anps, 'defaulted', { priority: 1, subject, ingress: [{ ...rule, ports }] });
    assert.deepEqual((made as unknown as { spec: { ingress: { ports: object }[] } }).spec.ingress[0]!.ports, [
      { portNumber: { port: 80, protocol: 'TCP' } },
      { portRange: { start: 1, end: 2, protocol: 'TCP' } },
      { namedPort: 'web' },
    ]);
    await assert.rejects(
      create(banps, 'other', { subject }),
      refused(/^BaselineAdminNetworkPolicy\S* "other" is invalid: <nil>: .*Only one baseline admin/),
    );
    await create(banps, 'default', { subject });
  });

  test('status is a subresource, checked by the definition; a new generation is what changes the spec', async () => {
    const made = await create(cnps, 'status', cnp({}));
    const condition = {
      type: 'Ready-x',
      status: 'True',
      reason: 'Understood',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const write = (conditions: object[]): Promise<KubeObject> =>
      api.patch(cnps, 'status', undefined, { status: { conditions } }, 'merge', { subresource: 'status' });
    await assert.rejects(
      write([{ ...condition, status: 'Maybe' }]),
      refused(/status\.conditions\[0\]\.status: Unsupported value: "Maybe"/),
    );
    await assert.rejects(write([{ ...condition, reason: 'not one word' }]), refused(/reason in body should match/));
    await assert.rejects(
      write([condition, condition]),
      refused(/status\.conditions\[1\]: Duplicate value: \{"type":"Ready-x"\}/),
    );
    const written = await write([condition]);
    assert.deepEqual((written as { status?: object }).status, { conditions: [condition] });
    assert.equal(written.metadata.generation, made.metadata.generation);
    const changed = await api.patch(cnps, 'status', undefined, { spec: { priority: 7 }, status: { conditions: [] } }, 'merge');
    assert.deepEqual((changed as { status?: object }).status, { conditions: [condition] });
    assert.equal(changed.metadata.generation, 2);
  });

  test('a strategic merge patch is no patch of custom resources', async () => {
    await create(cnps, 'patched', cnp({}));
    await assert.rejects(api.patch(cnps, 'patched', undefined, {}, 'strategic'), (error: ApiError) => error.code === 415);
  });
});
