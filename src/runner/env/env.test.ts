import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EnvVar, Pod, Service } from '../../kube/types.ts';
import { ContainerStartError } from '../container.ts';
import { expand } from './expand.ts';
import { environment, type Sources } from './variables.ts';

const service = (
  name: string,
  namespace: string,
  clusterIP: string,
  ports: { name?: string; port: number; protocol?: string }[],
): Service => ({ metadata: { name, namespace }, spec: { clusterIP, ports } }) as Service;
const services = [
  service('kubernetes', 'default', '10.96.0.1', [{ name: 'https', port: 443 }]),
  service('redis-primary', 'shop', '10.96.0.11', [{ port: 6379 }, { name: 'dns-udp', port: 53, protocol: 'UDP' }]),
  service('six', 'shop', 'fd00::6', [{ port: 80 }]),
  service('headless', 'shop', 'None', [{ port: 80 }]),
  service('other', 'elsewhere', '10.96.0.12', [{ port: 80 }]),
];
const facts = { podIPs: ['10.0.0.5', 'fd00::5'], hostIPs: ['172.30.0.2'], allocatable: { cpu: '4', memory: '8Gi' } };
const sources: Sources = {
  configMap: async (name) => (name === 'settings' ? { COLOR: 'red', 'a.b': Buffer.from('ü').toString('latin1') } : undefined),
  secret: async (name) => (name === 'keys' ? { TOKEN: 'x' } : undefined),
};

function make(env: EnvVar[], more: { envFrom?: object[]; spec?: object } = {}): Promise<Record<string, string>> {
  const container = {
    name: 'c',
    env,
    envFrom: more.envFrom,
    resources: { limits: { cpu: '1500m' }, requests: { memory: '100Mi' } },
  };
  const pod = {
    metadata: { name: 'web-0', namespace: 'shop', uid: 'u', labels: { app: 'web', b: 'x"y' }, annotations: { note: 'n' } },
    spec: { nodeName: 'node-1', containers: [container], ...more.spec },
  } as Pod;
  return environment(pod, container, facts, services, sources);
}

test('R11: the Services of the namespace and the API are variables; headless and foreign ones are not', async () => {
  const made = await make([]);
  assert.equal(made.KUBERNETES_SERVICE_HOST, '10.96.0.1');
  assert.equal(made.KUBERNETES_SERVICE_PORT_HTTPS, '443');
  assert.equal(made.REDIS_PRIMARY_SERVICE_HOST, '10.96.0.11');
  assert.equal(made.REDIS_PRIMARY_SERVICE_PORT, '6379');
  assert.equal(made.REDIS_PRIMARY_SERVICE_PORT_DNS_UDP, '53');
  assert.equal(made.REDIS_PRIMARY_PORT, 'tcp://10.96.0.11:6379');
  assert.deepEqual(
    ['', '_PROTO', '_PORT', '_ADDR'].map((end) => made[`REDIS_PRIMARY_PORT_53_UDP${end}`]),
    ['udp://10.96.0.11:53', 'udp', '53', '10.96.0.11'],
  );
  assert.equal(made.SIX_PORT_80_TCP, 'tcp://[fd00::6]:80');
  assert.deepEqual(
    Object.keys(made).filter((name) => /^(HEADLESS|OTHER)/.test(name)),
    [],
  );
});

test('R11: without enableServiceLinks only the API is left', async () => {
  const made = await make([], { spec: { enableServiceLinks: false } });
  assert.ok(Object.keys(made).every((name) => name.startsWith('KUBERNETES_')));
  assert.equal(made.KUBERNETES_SERVICE_HOST, '10.96.0.1');
});

test('fields of the pod and sizes of its containers come by the downward API', async () => {
  const field = (name: string, fieldPath: string): EnvVar => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const size = (name: string, resource: string, divisor?: string): EnvVar => ({
    name,
    valueFrom: { resourceFieldRef: { resource, divisor } },
  });
  const made = await make([
    field('NAME', 'metadata.name'),
    field('NAMESPACE', 'metadata.namespace'),
    field('LABEL', "metadata.labels['app']"),
    field('NODE', 'spec.nodeName'),
    field('IP', 'status.podIP'),
    field('IPS', 'status.podIPs'),
    field('HOST', 'status.hostIP'),
    size('CPU', 'limits.cpu'),
    size('MILLIS', 'limits.cpu', '1m'),
    size('MEMORY', 'requests.memory', '1Mi'),
    size('ALL', 'limits.memory', '1Gi'),
  ]);
  assert.deepEqual(Object.fromEntries(Object.entries(made).filter(([name]) => !/_(SERVICE|PORT)/.test(name))), {
    NAME: 'web-0',
    NAMESPACE: 'shop',
    LABEL: 'web',
    NODE: 'node-1',
    IP: '10.0.0.5',
    IPS: '10.0.0.5,fd00::5',
    HOST: '172.30.0.2',
    CPU: '2',
    MILLIS: '1500',
    MEMORY: '100',
    ALL: '8',
  });
});

test('later variables see earlier ones, and win over Services and whole ConfigMaps', async () => {
  const made = await make(
    [
      { name: 'A', value: 'one' },
      { name: 'B', value: '$(A)/$(REDIS_PRIMARY_SERVICE_HOST)/$(NOT_THERE)/$$(A)' },
      { name: 'P_COLOR', value: 'blue' },
      { name: 'T', valueFrom: { secretKeyRef: { name: 'keys', key: 'TOKEN' } } },
      { name: 'U', valueFrom: { configMapKeyRef: { name: 'settings', key: 'a.b' } } },
      { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'settings', key: 'none', optional: true } } },
    ],
    { envFrom: [{ configMapRef: { name: 'settings' }, prefix: 'P_' }, { secretRef: { name: 'none', optional: true } }] },
  );
  assert.equal(made.B, 'one/10.96.0.11/$(NOT_THERE)/$(A)');
  assert.deepEqual([made.P_COLOR, made.T, made.U, 'GONE' in made], ['blue', 'x', 'ü', false]);
});

test("what is referred to and not there keeps the container from starting, in kubelet's words", async () => {
  const refused = (valueFrom: object, message: string) =>
    assert.rejects(make([{ name: 'X', valueFrom }]), (error) => {
      assert.ok(error instanceof ContainerStartError);
      assert.deepEqual([error.reason, error.message], ['CreateContainerConfigError', message]);
      return true;
    });
  await refused({ configMapKeyRef: { name: 'none', key: 'k' } }, 'configmap "none" not found');
  await refused({ secretKeyRef: { name: 'keys', key: 'k' } }, "couldn't find key k in secret shop/keys");
  await assert.rejects(make([], { envFrom: [{ secretRef: { name: 'none' } }] }), /secret "none" not found/);
});

test('references in commands are replaced once, and what is no reference stays', () => {
  assert.equal(expand('$(A)-$(B)-$$(A)-$A-$(', { A: '$(B)', B: 'b' }), '$(B)-b-$(A)-$A-$(');
  assert.equal(expand('$(toString)', {}), '$(toString)');
});
