import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError, type KubeObject } from '../../kube/api.ts';
import { ConfigMaps, IPAddresses, Namespaces, Pods, Secrets } from '../../kube/resources.ts';
import type { Pod, PodSpec } from '../../kube/types.ts';
import { findResource } from '../resources.ts';
import { apiForTests } from '../testkit/server.ts';

const container = { name: 'c', image: 'x' };
const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } };

/** [resource, what besides metadata, what the answer must say] */
const refusals: [resource: string, body: object, ...texts: string[]][] = [
  ['/v1/pods', { spec: {} }, 'spec.containers: Required value'],
  [
    '/v1/pods',
    { spec: { containers: [{}] } },
    'spec.containers[0].name: Required value',
    'spec.containers[0].image: Required value',
  ],
  ['/v1/pods', { spec: { containers: [container, container] } }, 'spec.containers[1].name: Duplicate value: "c"'],
  [
    '/v1/pods',
    { spec: { containers: [{ ...container, name: 'C' }] } },
    'spec.containers[0].name: Invalid value: "C": a lowercase RFC 1123 label',
  ],
  [
    '/v1/pods',
    { spec: { containers: [{ ...container, ports: [{ containerPort: 70000 }] }] } },
    'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
  ],
  [
    '/v1/pods',
    { spec: { containers: [{ ...container, volumeMounts: [{ name: 'v', mountPath: '/x' }] }] } },
    'spec.containers[0].volumeMounts[0].name: Not found: "v"',
  ],
  [
    '/v1/pods',
    { spec: { containers: [{ ...container, livenessProbe: {} }] } },
    'spec.containers[0].livenessProbe: Required value: must specify a handler type',
  ],
  [
    '/v1/pods',
    { spec: { containers: [{ ...container, resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }] } },
    'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
  ],
  [
    '/v1/pods',
    { spec: { containers: [container], restartPolicy: 'Sometimes' } },
    'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
  ],
  [
    'apps/v1/deployments',
    { spec: { selector: { matchLabels: { a: 'c' } }, template } },
    'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
  ],
  ['apps/v1/deployments', { spec: { template } }, 'spec.selector: Required value'],
  [
    'apps/v1/deployments',
    { spec: { replicas: -1, selector: { matchLabels: { a: 'b' } }, template } },
    'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
  ],
  [
    'apps/v1/deployments',
    {
      spec: { selector: { matchLabels: { a: 'b' } }, template, strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
    },
    'may not be 0 when `maxSurge` is 0',
  ],
  [
    'batch/v1/jobs',
    { spec: { template: { spec: { containers: [container] } } } },
    'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
  ],
  [
    'networking.k8s.io/v1/networkpolicies',
    { spec: { ingress: [{ from: [{}] }] } },
    'spec.ingress[0].from[0]: Required value: must specify a peer',
  ],
  [
    'networking.k8s.io/v1/networkpolicies',
    { spec: { egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/8'] } }] }] } },
    'must be a strict subset of `cidr`',
  ],
  [
    'networking.k8s.io/v1/networkpolicies',
    { spec: { ingress: [{ ports: [{ port: 80, endPort: 79 }] }] } },
    'must be greater than or equal to `port`',
  ],
  [
    'networking.k8s.io/v1/networkpolicies',
    { spec: { podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } } },
    "must be specified when `operator` is 'In' or 'NotIn'",
  ],
  [
    'discovery.k8s.io/v1/endpointslices',
    { addressType: 'IPv4', endpoints: [{ addresses: ['::1'] }] },
    'endpoints[0].addresses[0]',
  ],
  [
    'discovery.k8s.io/v1/endpointslices',
    { addressType: 'IPv6', endpoints: [{ addresses: ['10.0.0.1'] }] },
    'must be an IPv6 address',
  ],
  ['/v1/configmaps', { data: { 'a/b': 'x' } }, 'data[a/b]: Invalid value: "a/b": a valid config key must consist of'],
  [
    '/v1/configmaps',
    { metadata: { labels: { 'a b': 'c' } } },
    'metadata.labels: Invalid value: "a b": name part must consist of',
  ],
  [
    '/v1/configmaps',
    { metadata: { finalizers: ['nope'] } },
    'name is neither a standard finalizer name nor is it fully qualified',
  ],
  ['/v1/configmaps', { metadata: { name: '' } }, 'metadata.name: Required value: name or generateName is required'],
  ['/v1/secrets', { type: 'kubernetes.io/tls' }, 'data[tls.crt]: Required value'],
];

describe('validation', () => {
  const api = apiForTests();

  for (const [at, body, ...texts] of refusals)
    test(`${at} ${JSON.stringify(body)}`.slice(0, 150), async () => {
      const [group, version, plural] = at.split('/') as [string, string, string];
      const resource = findResource(group, version, plural)!;
      const { metadata, ...rest } = body as { metadata?: object };
      const object = { metadata: { name: 'bad', namespace: 'default', ...metadata }, ...rest } as KubeObject;
      await assert.rejects(api.create(resource, object), (error: unknown) => {
        assert.ok(error instanceof ApiError && error.code === 422, String(error));
        for (const text of texts) assert.ok(error.message.includes(text), `${error.message}\nshould say\n${text}`);
        assert.ok((error.details as { causes: unknown[] }).causes.length > 0);
        return true;
      });
    });

  test('R1: with dnsPolicy None a pod, or the template of one, is refused without a nameserver, and is not with one', async () => {
    const deployments = findResource('apps', 'v1', 'deployments')!;
    const needed = 'nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None';
    const create = (name: string, more: Partial<PodSpec>): Promise<KubeObject> =>
      api.create(Pods, { metadata: { name, namespace: 'default' }, spec: { containers: [container], ...more } });
    for (const dnsConfig of [undefined, {}, { nameservers: [] }, { searches: ['lan'] }]) {
      const more = { dnsPolicy: 'None', ...(dnsConfig ? { dnsConfig } : {}) };
      const isRefused = (path: string) => (error: ApiError) => error.code === 422 && error.message.includes(`${path}.dnsConfig.${needed}`);
      await assert.rejects(create('none', more), isRefused('spec'), JSON.stringify(dnsConfig));
      const spec = { selector: { matchLabels: { a: 'b' } }, template: { ...template, spec: { ...template.spec, ...more } } };
      const deployment = { metadata: { name: 'none', namespace: 'default' }, spec } as KubeObject;
      await assert.rejects(api.create(deployments, deployment), isRefused('spec.template.spec'), JSON.stringify(dnsConfig));
    }
    for (const [name, address] of [['four', '192.0.2.53'], ['six', '2001:db8::53']] as const)
      await create(name, { dnsPolicy: 'None', dnsConfig: { nameservers: [address] } });
    await create('no-policy', { dnsPolicy: 'Default', dnsConfig: { nameservers: [] } });
  });

  test('IP2: an IPAddress has a canonical address of either family as its name', async () => {
    const spec = { parentRef: { resource: 'services', name: 'x', namespace: 'default' } };
    for (const name of ['10.96.3.4', 'fd00:96::3']) await api.create(IPAddresses, { metadata: { name }, spec });
    for (const name of ['fd00:96:0::3', 'FD00:96::5', '10.96.3.04', '::ffff:10.0.0.1', 'web'])
      await assert.rejects(
        api.create(IPAddresses, { metadata: { name }, spec }),
        (error: ApiError) => error.code === 422 && /must be/.test(error.message),
        name,
      );
  });

  test('a pod’s spec is fixed but for its images and a few more', async () => {
    const made = await api.create(Pods, { metadata: { name: 'p', namespace: 'default' }, spec: { containers: [container] } });
    const change = (spec: Partial<PodSpec>) => api.update(Pods, { ...made, spec: { ...made.spec!, ...spec } } as Pod);
    await assert.rejects(change({ nodeName: 'n' }), /pod updates may not change fields other than/);
    await assert.rejects(change({ containers: [] }), /may not add or remove containers|Required value/);
    const { spec } = await change({ containers: [{ ...made.spec!.containers[0]!, image: 'y' }] });
    assert.equal(spec?.containers[0]?.image, 'y');
  });

  test('an immutable ConfigMap is, and stringData of a Secret becomes data', async () => {
    const made = await api.create(ConfigMaps, {
      metadata: { name: 'fixed', namespace: 'default' },
      data: { a: '1' },
      immutable: true,
    });
    await assert.rejects(
      api.update(ConfigMaps, { ...made, data: { a: '2' } }),
      /data: Forbidden: field is immutable when `immutable` is set/,
    );
    const secret = await api.create(Secrets, { metadata: { name: 's', namespace: 'default' }, stringData: { a: 'b' } });
    assert.deepEqual([secret.data, secret.stringData, secret.type], [{ a: 'Yg==' }, undefined, 'Opaque']);
  });

  test('a namespace has its name as a label, and nobody takes it away', async () => {
    const made = await api.create(Namespaces, { metadata: { name: 'labelled' } });
    assert.deepEqual(
      [made.metadata.labels, made.spec?.finalizers],
      [{ 'kubernetes.io/metadata.name': 'labelled' }, ['kubernetes']],
    );
    const patched = await api.patch(
      Namespaces,
      'labelled',
      undefined,
      { metadata: { labels: null }, spec: { finalizers: [] } },
      'merge',
    );
    assert.deepEqual(
      [patched.metadata.labels, patched.spec?.finalizers],
      [{ 'kubernetes.io/metadata.name': 'labelled' }, ['kubernetes']],
    );
  });
});
