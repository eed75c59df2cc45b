import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { NetNs } from '../../kernel/netns.ts';
import { connectTcp } from '../../kernel/sockets.ts';
import type { ApiError, KubeObject, Resource } from '../../kube/api.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import {
  apiVersionOf,
  EndpointSlices,
  Endpoints,
  IngressClasses,
  Ingresses,
  IPAddresses,
  Namespaces,
  ServiceCIDRs,
  Services,
} from '../../kube/resources.ts';
import { IpAddr } from '../../net/ip.ts';
import { eventually, type TestLab } from './harness.ts';

type Options = { skip: string | false };
interface Discovered {
  resources: { name: string; verbs: string[] }[];
}

const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** What is asked of the API server alone, over TLS with the lab's own kubeconfig. */
export function apiTests(lab: () => TestLab, options: Options): void {
  const pathOf = (resource: Resource): string =>
    `${resource.group ? '/apis/' : '/api/'}${apiVersionOf(resource)}${resource.namespaced ? '/namespaces/default' : ''}/${resource.plural}`;

  /** Discovery and every verb, on three objects. `change` is a merge patch of something that may change. */
  async function everyVerb<T extends KubeObject>(
    resource: Resource<T>,
    names: readonly string[],
    body: object,
    change?: object,
  ): Promise<void> {
    const { api } = lab();
    const group = await api.request<Discovered>('GET', `${resource.group ? '/apis/' : '/api/'}${apiVersionOf(resource)}`);
    assert.deepEqual(
      group.resources
        .find(({ name }) => name === resource.plural)
        ?.verbs.filter((verb) => allVerbs.includes(verb))
        .sort(),
      allVerbs,
    );
    const namespace = resource.namespaced ? 'default' : undefined;
    const labels = { conformance: resource.plural };
    const { metadata: list } = await api.list(resource, { namespace });
    const events: string[] = [];
    const watch = api.watch(resource, ({ type, object }) => events.push(`${type} ${object.metadata.name}`), {
      ...{ namespace, resourceVersion: list.resourceVersion, labelSelector: `conformance=${resource.plural}` },
      onEnd: (error) => error && events.push(error.message),
    });
    try {
      for (const name of names) await api.create(resource, { metadata: { name, namespace, labels }, ...body } as unknown as T);
      const [first = ''] = names;
      const made = await api.get(resource, first, namespace);
      assert.equal(
        (await api.list(resource, { namespace, labelSelector: `conformance=${resource.plural}` })).items.length,
        names.length,
      );
      if (resource.namespaced)
        assert.ok((await api.list(resource)).items.some(({ metadata }) => metadata.uid === made.metadata.uid));
      // Controllers may write what was just made.
      const updated = await eventually(async () => {
        Object.assign(made, await api.get(resource, first, namespace));
        made.metadata.annotations = { updated: 'yes' };
        return api.update(resource, made);
      });
      assert.equal(updated.metadata.annotations?.updated, 'yes');
      await assert.rejects(
        api.update(resource, made),
        (error: ApiError) => error.code === 409,
        'what was read before is out of date',
      );
      const patched = await api.patch(
        resource,
        first,
        namespace,
        { metadata: { annotations: { patched: 'yes' } }, ...change },
        'merge',
      );
      assert.deepEqual(patched.metadata.annotations, { updated: 'yes', patched: 'yes' });
      await api.delete(resource, first, namespace);
      await eventually(() => assert.rejects(api.get(resource, first, namespace), (error: ApiError) => error.code === 404));
      await api.request('DELETE', pathOf(resource), { labelSelector: `conformance=${resource.plural}` });
      await eventually(async () =>
        assert.deepEqual((await api.list(resource, { namespace, labelSelector: `conformance=${resource.plural}` })).items, []),
      );
      await eventually(() => {
        for (const name of names)
          assert.ok(events.includes(`ADDED ${name}`) && events.includes(`DELETED ${name}`), `${name} in ${events.join(', ')}`);
        assert.ok(events.filter((event) => event === `MODIFIED ${first}`).length >= 2, events.join(', '));
      });
    } finally {
      watch.close();
    }
  }

  /** Reads, replaces and patches the status. */
  async function statusOf<T extends KubeObject & { status?: object }>(
    resource: Resource<T>,
    object: T,
    status: object,
  ): Promise<void> {
    const { api } = lab();
    const { name, namespace } = await api.create(resource, object).then(({ metadata }) => metadata);
    const replaced = await eventually(async () => {
      const read = await api.get(resource, name, namespace);
      return api.update(resource, { ...read, status: { ...read.status, ...status } }, { subresource: 'status' });
    });
    for (const [field, value] of Object.entries(status))
      assert.deepEqual((replaced.status as Record<string, unknown>)[field], value);
    const patch = { metadata: { annotations: { patched: 'status' } }, status };
    const patched = await api.patch(resource, name, namespace, patch, 'merge', { subresource: 'status' });
    assert.equal(patched.metadata.annotations?.patched, 'status');
    await api.delete(resource, name, namespace);
  }

  const three = (prefix: string): string[] => ['a', 'b', 'c'].map((letter) => `${prefix}-${letter}`);
  const rules = [
    { http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 's', port: { number: 80 } } } }] } },
  ];

  test(
    'C1, C2: default/kubernetes is https on 443, its endpoints are the API server, and a pod that connects to it meets the API',
    options,
    async () => {
      const { spec } = await lab().api.get(Services, 'kubernetes', 'default');
      assert.deepEqual(
        spec!.ports!.map(({ name, port, protocol }) => [name, port, protocol]),
        [['https', 443, 'TCP']],
      );
      const { subsets } = await lab().api.get(Endpoints, 'kubernetes', 'default');
      const { items } = await lab().api.list(EndpointSlices, {
        namespace: 'default',
        labelSelector: 'kubernetes.io/service-name=kubernetes',
      });
      const addresses = subsets!.flatMap(({ addresses }) => addresses!.map(({ ip }) => ip));
      assert.ok(addresses.length > 0);
      for (const address of addresses)
        assert.ok(
          items.some(({ endpoints }) => endpoints?.some((one) => one.addresses.includes(address))),
          address,
        );
      const { ca } = loadKubeconfig(lab().names.kubeconfig);
      using ns = NetNs.open((await lab().ready('client-2')).netns);
      const socket = await connectTcp(ns, IpAddr.parse(spec!.clusterIP!), 443, { timeoutMs: 10_000 });
      await new Promise<void>((resolve, reject) => {
        const secure = connect({ socket, ca, servername: 'kubernetes.default.svc' }, () => {
          secure.destroy();
          resolve();
        });
        secure.on('error', reject);
      });
    },
  );

  test('C15: EndpointSlices: discovery and every verb', options, () =>
    everyVerb(EndpointSlices, three('slice'), {
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'] }],
      ports: [{ name: 'x', port: 80 }],
    }),
  );

  test('C17: Endpoints: discovery and every verb', options, () =>
    everyVerb(
      Endpoints,
      three('endpoints'),
      { subsets: [{ addresses: [{ ip: '10.0.0.24' }], ports: [{ name: 'http', port: 80 }] }] },
      {
        subsets: [{ addresses: [{ ip: '10.0.0.25' }], ports: [{ name: 'http', port: 8080 }] }],
      },
    ),
  );

  test('C21: Ingresses: discovery, every verb, and the status', options, async () => {
    await everyVerb(Ingresses, three('ingress'), { spec: { rules } });
    const object = { metadata: { name: 'ingress-status', namespace: 'default' }, spec: { rules } };
    await statusOf(Ingresses, object, { loadBalancer: { ingress: [{ ip: '169.1.1.1' }] } });
  });

  test('C22: IngressClasses: discovery and every verb', options, () =>
    everyVerb(IngressClasses, three('class'), { spec: { controller: 'example.com/controller' } }),
  );

  test('C31, IP2: IPAddresses: discovery and every verb', options, () =>
    everyVerb(IPAddresses, ['192.168.5.5', '192.168.5.6', '2001:db8::1'], {
      spec: { parentRef: { resource: 'services', namespace: 'default', name: 'x' } },
    }),
  );

  test('C32, IP1: ServiceCIDRs: the default one, discovery, every verb, and the status', options, async () => {
    const { spec } = await lab().api.get(ServiceCIDRs, 'kubernetes');
    assert.equal(spec!.cidrs!.length, 2);
    await everyVerb(ServiceCIDRs, three('cidr'), { spec: { cidrs: ['10.201.0.0/24'] } });
    const condition = {
      type: 'Other',
      status: 'True',
      reason: 'Test',
      message: 'set by a test',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    await statusOf(
      ServiceCIDRs,
      { metadata: { name: 'cidr-status' }, spec: { cidrs: ['10.202.0.0/24'] } },
      { conditions: [condition] },
    );
  });

  test('C40: the status of a Service is read, replaced and patched', options, () =>
    statusOf(
      Services,
      { metadata: { name: 'status', namespace: 'default' }, spec: { ports: [{ port: 80 }] } },
      {
        conditions: [
          {
            type: 'Update',
            status: 'True',
            reason: 'Test',
            message: 'set by a test',
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ],
      },
    ),
  );

  test(
    'C41, C42: Services are found in the list over all namespaces, and deleted as a collection by label, others staying',
    options,
    async () => {
      const { api } = lab();
      await api.create(Namespaces, { metadata: { name: 'elsewhere' } });
      const make = (name: string, group: string, namespace: string) =>
        api.create(Services, { metadata: { name, namespace, labels: { group } }, spec: { ports: [{ port: 80 }] } });
      for (const name of ['one', 'two']) await make(name, 'gone', 'elsewhere');
      await make('three', 'stays', 'elsewhere');
      const all = async (labelSelector: string): Promise<string[]> =>
        (await api.list(Services, { labelSelector })).items.map(({ metadata }) => metadata.name);
      assert.deepEqual((await all('group')).sort(), ['one', 'three', 'two']);
      await api.request('DELETE', '/api/v1/namespaces/elsewhere/services', { labelSelector: 'group=gone' });
      assert.deepEqual(await all('group'), ['three']);
      await api.delete(Namespaces, 'elsewhere');
    },
  );
}
