import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Api, ApiError } from '../../../kube/api.ts';
import { IPAddresses, Services } from '../../../kube/resources.ts';
import type { Service, ServiceSpec } from '../../../kube/types.ts';
import { TestServer } from '../../testkit/server.ts';

const v4 = ['10.96.0.0/16'];
const v6 = ['fd00:10:96::/108'];
const dual = [...v4, ...v6];

async function withApi(run: (api: Api) => Promise<void>, serviceCidrs: string[] = dual): Promise<void> {
  await using server = await TestServer.start({ serviceCidrs });
  await run(server.api.localApi('test'));
}

let count = 0;
const service = (spec: ServiceSpec, name = `s${count++}`): Service => ({ metadata: { name, namespace: 'default' }, spec });
const create = async (api: Api, spec: ServiceSpec): Promise<ServiceSpec> => (await api.create(Services, service(spec))).spec!;
const web: ServiceSpec = { ports: [{ port: 80 }], selector: { a: 'b' } };

const refused =
  (...texts: string[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ApiError && error.code === 422, String(error));
    for (const text of texts) assert.ok(error.message.includes(text), `${error.message}\nshould say\n${text}`);
    return true;
  };

describe('Services', () => {
  test('SA1 SA4 SA9: defaults', () =>
    withApi(async (api) => {
      const { clusterIP, clusterIPs, ...spec } = await create(api, web);
      assert.match(clusterIP!, /^10\.96\.\d+\.\d+$/);
      assert.deepEqual(clusterIPs, [clusterIP]);
      assert.deepEqual(spec, {
        type: 'ClusterIP',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
        selector: { a: 'b' },
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
      });
    }));

  test('SA2: an address asked for is given when it is free and in range, and comes free with its Service', () =>
    withApi(async (api) => {
      const asked = { ...web, clusterIP: '10.96.1.1' };
      const made = await api.create(Services, service(asked));
      assert.equal(made.spec?.clusterIP, '10.96.1.1');
      assert.equal((await api.get(IPAddresses, '10.96.1.1')).spec?.parentRef?.name, made.metadata.name);
      await assert.rejects(
        create(api, asked),
        refused('spec.clusterIPs', 'failed to allocate IP 10.96.1.1: provided IP is already allocated'),
      );
      await api.delete(Services, made.metadata.name, 'default');
      await assert.rejects(api.get(IPAddresses, '10.96.1.1'));
      await create(api, asked);
      for (const clusterIP of ['10.97.0.1', '10.96.0.0', '10.96.255.255'])
        await assert.rejects(
          create(api, { ...web, clusterIP }),
          refused('is not in the valid range. The range of valid IPs is 10.96.0.0/16'),
        );
    }));

  test('SA2: the address is immutable', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service(web));
      await assert.rejects(
        api.update(Services, { ...made, spec: { ...made.spec, clusterIP: '10.96.3.3', clusterIPs: ['10.96.3.3'] } }),
        refused('may not change once set'),
      );
      const { clusterIP: _a, clusterIPs: _b, ...rest } = made.spec!;
      const replaced = await api.update(Services, { ...made, spec: rest });
      assert.equal(replaced.spec?.clusterIP, made.spec?.clusterIP, 'whoever leaves it out keeps it');
    }));

  test('SA3: addresses and node ports nobody asked for come from the upper bands', () =>
    withApi(async (api) => {
      for (let i = 0; i < 20; i++) {
        const spec = await create(api, { ...web, type: 'NodePort' });
        const [, , c, d] = spec.clusterIP!.split('.').map(Number);
        assert.ok(c! * 256 + d! > 256, spec.clusterIP);
        assert.ok(spec.ports![0]!.nodePort! >= 30086, String(spec.ports![0]!.nodePort));
      }
    }));

  test('SA3: a small range is used up to its last address, then it is full', () =>
    withApi(
      async (api) => {
        const seen = new Set<string>();
        for (let i = 0; i < 14; i++) seen.add((await create(api, web)).clusterIP!);
        assert.equal(seen.size, 14);
        await assert.rejects(create(api, web), refused('range is full'));
      },
      ['10.0.0.0/28'],
    ));

  test('SA4: several ports have names; the same number under another protocol is another port', () =>
    withApi(async (api) => {
      await assert.rejects(
        create(api, { ports: [{ port: 80 }, { port: 81 }] }),
        refused('spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'),
      );
      await create(api, {
        ports: [
          { name: 'a', port: 53 },
          { name: 'b', port: 53, protocol: 'UDP' },
        ],
      });
      await assert.rejects(
        create(api, {
          ports: [
            { name: 'a', port: 53 },
            { name: 'b', port: 53 },
          ],
        }),
        refused('spec.ports[1]: Duplicate value'),
      );
      await assert.rejects(
        create(api, { ports: [{ port: 0 }] }),
        refused('spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'),
      );
      await assert.rejects(create(api, {}), refused('spec.ports: Required value'));
    }));

  test('SA5: a node port belongs to one Service, which may use it for TCP and UDP', () =>
    withApi(async (api) => {
      const both = [
        { name: 'a', port: 53, nodePort: 30053 },
        { name: 'b', port: 53, protocol: 'UDP', nodePort: 30053 },
      ];
      const made = await api.create(Services, service({ type: 'NodePort', ports: both }));
      const taken = { type: 'NodePort', ports: [{ port: 80, nodePort: 30053 }] };
      await assert.rejects(
        create(api, taken),
        refused('spec.ports[0].nodePort: Invalid value: 30053: provided port is already allocated'),
      );
      await assert.rejects(
        create(api, { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }),
        refused('The range of valid ports is 30000-32767'),
      );
      await assert.rejects(
        create(api, { ports: [{ port: 80, nodePort: 30100 }] }),
        refused("spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
      );
      await api.patch(Services, made.metadata.name, 'default', { spec: { type: 'ClusterIP' } }, 'merge');
      await create(api, taken);
      const auto = await create(api, {
        type: 'NodePort',
        ports: [
          { name: 'a', port: 53 },
          { name: 'b', port: 53, protocol: 'UDP' },
        ],
      });
      assert.equal(auto.ports![0]!.nodePort, auto.ports![1]!.nodePort);
    }));

  test('SA6: families and policies of a dual-stack cluster', () =>
    withApi(async (api) => {
      const families = async (spec: ServiceSpec): Promise<unknown[]> => {
        const { ipFamilies, ipFamilyPolicy, clusterIPs } = await create(api, { ...web, ...spec });
        return [ipFamilies, ipFamilyPolicy, clusterIPs!.map((ip) => (ip === 'None' ? ip : ip.includes(':') ? 6 : 4))];
      };
      assert.deepEqual(await families({}), [['IPv4'], 'SingleStack', [4]]);
      assert.deepEqual(await families({ ipFamilies: ['IPv6'] }), [['IPv6'], 'SingleStack', [6]]);
      assert.deepEqual(await families({ ipFamilyPolicy: 'PreferDualStack' }), [['IPv4', 'IPv6'], 'PreferDualStack', [4, 6]]);
      assert.deepEqual(await families({ ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] }), [
        ['IPv6', 'IPv4'],
        'RequireDualStack',
        [6, 4],
      ]);
      assert.deepEqual(await families({ clusterIP: 'fd00:10:96::42' }), [['IPv6'], 'SingleStack', [6]]);
      assert.deepEqual(await families({ clusterIP: 'None' }), [['IPv4'], 'SingleStack', ['None']]);
      assert.deepEqual(await families({ clusterIP: 'None', selector: undefined }), [
        ['IPv4', 'IPv6'],
        'RequireDualStack',
        ['None'],
      ]);
      await assert.rejects(
        families({ ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4', 'IPv6'] }),
        refused('spec.ipFamilyPolicy'),
      );
    }));

  test('SA6: a single-stack cluster prefers in vain, and refuses what is required', () =>
    withApi(async (api) => {
      const preferred = await create(api, { ...web, ipFamilyPolicy: 'PreferDualStack' });
      assert.deepEqual([preferred.ipFamilies, preferred.clusterIPs!.length], [['IPv6'], 1]);
      await assert.rejects(
        create(api, { ...web, ipFamilyPolicy: 'RequireDualStack' }),
        refused('this cluster is not configured for dual-stack services'),
      );
      await assert.rejects(
        create(api, { ...web, ipFamilies: ['IPv4'] }),
        refused('spec.ipFamilies[0]: Invalid value: "IPv4": not configured on this cluster'),
      );
    }, v6));

  test('SA6: the second family comes and goes, the first stays', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service({ ...web, ipFamilyPolicy: 'PreferDualStack' }));
      const patch = async (spec: ServiceSpec) =>
        (await api.patch(Services, made.metadata.name, 'default', { spec }, 'merge')).spec!;
      const single = await patch({ ipFamilyPolicy: 'SingleStack' });
      assert.deepEqual([single.ipFamilies, single.clusterIPs], [['IPv4'], [made.spec!.clusterIP]]);
      await assert.rejects(api.get(IPAddresses, made.spec!.clusterIPs![1]!), 'released');
      const again = await patch({ ipFamilyPolicy: 'RequireDualStack' });
      assert.deepEqual([again.ipFamilies, again.clusterIPs![0]], [['IPv4', 'IPv6'], made.spec!.clusterIP]);
      await assert.rejects(patch({ ipFamilies: ['IPv6', 'IPv4'] }), refused());
    }));

  test('SA7: to ExternalName and back', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service({ ...web, type: 'NodePort' }));
      const patch = (spec: ServiceSpec) => api.patch(Services, made.metadata.name, 'default', { spec }, 'merge');
      const external = (await patch({ type: 'ExternalName', externalName: 'example.com' })).spec!;
      assert.deepEqual(external, {
        type: 'ExternalName',
        externalName: 'example.com',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
        selector: { a: 'b' },
        sessionAffinity: 'None',
      });
      await create(api, { ...web, clusterIP: made.spec!.clusterIP });
      await assert.rejects(
        create(api, { type: 'ExternalName', externalName: 'Not A Name' }),
        refused('spec.externalName: Invalid value'),
      );
      await assert.rejects(create(api, { type: 'ExternalName' }), refused('spec.externalName: Required value'));
      const back = (await patch({ type: 'ClusterIP', externalName: null as never })).spec!;
      assert.ok(back.clusterIP);
    }));

  test('SA8: the health check port exists exactly while it is needed', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service({ ...web, type: 'LoadBalancer', externalTrafficPolicy: 'Local' }));
      const port = made.spec!.healthCheckNodePort!;
      assert.ok(port >= 30000 && port <= 32767);
      const patch = async (spec: ServiceSpec) =>
        (await api.patch(Services, made.metadata.name, 'default', { spec }, 'merge')).spec!;
      await assert.rejects(
        patch({ healthCheckNodePort: 30001 }),
        refused('spec.healthCheckNodePort: Forbidden: field is immutable'),
      );
      assert.equal((await patch({ externalTrafficPolicy: 'Cluster' })).healthCheckNodePort, undefined);
      await assert.rejects(
        create(api, { ...web, healthCheckNodePort: 30002 }),
        refused("may only be set when `type` is 'LoadBalancer'"),
      );
      await assert.rejects(
        create(api, { ...web, externalTrafficPolicy: 'Local' }),
        refused('may only be set for externally-accessible services'),
      );
    }));

  test('SA10: a load balancer may do without node ports', () =>
    withApi(async (api) => {
      const without = await create(api, { ...web, type: 'LoadBalancer', allocateLoadBalancerNodePorts: false });
      assert.equal(without.ports![0]!.nodePort, undefined);
      const explicit = await create(api, {
        type: 'LoadBalancer',
        allocateLoadBalancerNodePorts: false,
        ports: [{ port: 80, nodePort: 30080 }],
      });
      assert.equal(explicit.ports![0]!.nodePort, 30080);
      await assert.rejects(
        create(api, { ...web, allocateLoadBalancerNodePorts: true }),
        refused("spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"),
      );
    }));

  test('SA11 SA12 SA14 SA16 SA18 SA19: values that are refused, and names that are not', () =>
    withApi(async (api) => {
      const bad: [spec: ServiceSpec, text: string][] = [
        [
          { ...web, loadBalancerClass: 'x/y' },
          "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ],
        [{ ...web, loadBalancerSourceRanges: ['10.0.0.0/8'] }, "may only be used when `type` is 'LoadBalancer'"],
        [{ ...web, type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.1/8'] }, 'must not have bits set beyond the prefix length'],
        [
          { ...web, sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } },
          'must be greater than 0 and less than or equal to 86400',
        ],
        [{ ...web, trafficDistribution: 'Nearby' }, 'spec.trafficDistribution: Unsupported value: "Nearby"'],
        [{ ...web, clusterIP: '010.96.0.7' }, 'spec.clusterIPs[0]: Invalid value: "010.96.0.7": must not have leading 0s'],
        [{ ...web, externalIPs: ['::ffff:1.2.3.4'] }, 'spec.externalIPs[0]: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address'],
        [{ ...web, externalIPs: ['1.2.3'] }, 'spec.externalIPs[0]: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
        [{ ...web, externalIPs: ['::'] }, 'may not be unspecified (::)'],
        [{ ...web, externalIPs: ['::1'] }, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
        [{ ...web, externalIPs: ['feb0::1'] }, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'],
        [{ ...web, externalIPs: ['224.0.0.251'] }, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
      ];
      for (const [spec, text] of bad) await assert.rejects(create(api, spec), refused(text));
      await create(api, { type: 'ExternalName', externalName: 'example.org', internalTrafficPolicy: 'Local' });
      const affine = await create(api, { ...web, sessionAffinity: 'ClientIP' });
      assert.equal(affine.sessionAffinityConfig?.clientIP?.timeoutSeconds, 10800);
      await api.create(Services, service(web, '1-digit-first'));
    }));

  test('SA2, SA9: a headless Service has None for good, and the internal policy of all that can have addresses', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service({ ...web, clusterIP: 'None' }));
      assert.deepEqual([made.spec?.clusterIPs, made.spec?.internalTrafficPolicy], [['None'], 'Cluster']);
      await assert.rejects(
        api.update(Services, { ...made, spec: { ...made.spec, clusterIP: '10.96.3.3', clusterIPs: ['10.96.3.3'] } }),
        refused('may not change once set'),
      );
      for (const type of ['NodePort', 'LoadBalancer'])
        await assert.rejects(
          create(api, { ...web, type, clusterIP: 'None' }),
          refused(`may not be set to 'None' for ${type} services`),
        );
      const two = await create(api, { ...web, internalTrafficPolicy: 'Local', ipFamilyPolicy: 'RequireDualStack' });
      assert.deepEqual([two.internalTrafficPolicy, two.clusterIP === two.clusterIPs?.[0]], ['Local', true]);
      const [a = '', b = ''] = two.clusterIPs ?? [];
      await assert.rejects(create(api, { ...web, clusterIP: b, clusterIPs: [a, b] }), refused('spec.clusterIP: Invalid value'));
      await assert.rejects(create(api, { ...web, clusterIPs: [a, b, a] }), refused('spec.clusterIPs: Invalid value'));
      const external = { type: 'ExternalName', externalName: 'a.b' };
      await assert.rejects(
        create(api, { ...external, clusterIP: '10.96.7.7' }),
        refused('spec.clusterIPs: Forbidden: may not be set for ExternalName services'),
      );
    }));

  test('SA8: the health check port can be asked for, counts as a node port, and goes with the type', () =>
    withApi(async (api) => {
      const local = { ...web, type: 'LoadBalancer', externalTrafficPolicy: 'Local' };
      const made = await api.create(Services, service({ ...local, healthCheckNodePort: 32000 }));
      assert.equal(made.spec?.healthCheckNodePort, 32000);
      await assert.rejects(create(api, { ...local, healthCheckNodePort: 32000 }), refused('provided port is already allocated'));
      await assert.rejects(
        create(api, { type: 'NodePort', ports: [{ port: 80, nodePort: 32000 }] }),
        refused('already allocated'),
      );
      await assert.rejects(
        create(api, { ...local, healthCheckNodePort: 99 }),
        refused('The range of valid ports is 30000-32767'),
      );
      const patched = await api.patch(Services, made.metadata.name, 'default', { spec: { type: 'ClusterIP' } }, 'merge');
      assert.deepEqual([patched.spec?.healthCheckNodePort, patched.spec?.externalTrafficPolicy], [undefined, undefined]);
      assert.equal((await create(api, { ...local, healthCheckNodePort: 32000 })).healthCheckNodePort, 32000);
      const byAddress = await create(api, { ...web, externalIPs: ['192.0.2.1'], externalTrafficPolicy: 'Local' });
      assert.deepEqual([byAddress.externalTrafficPolicy, byAddress.healthCheckNodePort], ['Local', undefined]);
    }));

  test('SA10: turning node ports off later takes none away, and leaving the type clears the field', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service({ ...web, type: 'LoadBalancer' }));
      assert.equal(made.spec?.allocateLoadBalancerNodePorts, true);
      const { nodePort } = made.spec!.ports![0]!;
      const patch = async (spec: ServiceSpec) =>
        (await api.patch(Services, made.metadata.name, 'default', { spec }, 'merge')).spec!;
      const off = await patch({ allocateLoadBalancerNodePorts: false });
      assert.deepEqual([off.allocateLoadBalancerNodePorts, off.ports![0]!.nodePort], [false, nodePort]);
      const more = await patch({
        ports: [
          { name: 'a', port: 80, nodePort },
          { name: 'b', port: 81 },
        ],
      });
      assert.deepEqual(
        more.ports!.map((port) => port.nodePort),
        [nodePort, undefined],
        'a further port gets none',
      );
      const plain = await patch({ type: 'NodePort' });
      assert.equal(plain.allocateLoadBalancerNodePorts, undefined);
      assert.ok(plain.ports!.every((port) => port.nodePort));
    }));

  test('SA11: a class is set with the type, then immutable, and goes with the type', () =>
    withApi(async (api) => {
      const balanced = { ...web, type: 'LoadBalancer' };
      const made = await api.create(Services, service({ ...balanced, loadBalancerClass: 'example.com/x' }));
      const change = (name: string, spec: object) => api.patch(Services, name, 'default', { spec }, 'merge');
      for (const loadBalancerClass of ['example.com/y', null])
        await assert.rejects(
          change(made.metadata.name, { loadBalancerClass }),
          refused('spec.loadBalancerClass: Invalid value: ', 'may not change once set'),
        );
      const plain = await change(made.metadata.name, { type: 'ClusterIP' });
      assert.equal(plain.spec?.loadBalancerClass, undefined);
      const again = await change(made.metadata.name, { type: 'LoadBalancer', loadBalancerClass: 'example.com/z' });
      assert.equal(again.spec?.loadBalancerClass, 'example.com/z');
      const none = await api.create(Services, service(balanced));
      await assert.rejects(
        change(none.metadata.name, { loadBalancerClass: 'example.com/x' }),
        refused('may not change once set'),
      );
      await assert.rejects(
        create(api, { ...balanced, loadBalancerClass: 'no class!' }),
        refused('spec.loadBalancerClass: Invalid value'),
      );
    }));

  test('SA12: source ranges by field or annotation, of load balancers only; loadBalancerIP is kept as it is', () =>
    withApi(async (api) => {
      const name = 'service.beta.kubernetes.io/load-balancer-source-ranges';
      const annotated = (text: string, spec: ServiceSpec = {}): Promise<Service> => {
        const made = service({ ...web, type: 'LoadBalancer', ...spec });
        return api.create(Services, { ...made, metadata: { ...made.metadata, annotations: { [name]: text } } });
      };
      await annotated('10.0.0.0/8, 2001:db8::/32');
      await annotated('');
      for (const text of ['10.0.0.1/8', '10.0.0.0', 'everybody'])
        await assert.rejects(annotated(text), refused(`metadata.annotations[${name}]: Invalid value: "${text}": must`));
      await assert.rejects(
        annotated('10.0.0.0/8', { type: 'NodePort' }),
        refused("Forbidden: may only be used when `type` is 'LoadBalancer'"),
      );
      const made = await create(api, {
        ...{ ...web, type: 'LoadBalancer', loadBalancerIP: '192.0.2.7' },
        loadBalancerSourceRanges: ['10.0.0.0/8', ' 2001:db8::/32 '],
      });
      assert.equal(made.loadBalancerIP, '192.0.2.7');
    }));

  test('SA14: affinity has a time from 1 s to a day, three hours unless said, and none without affinity', () =>
    withApi(async (api) => {
      const affine = (timeoutSeconds?: number): Promise<ServiceSpec> =>
        create(api, { ...web, sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } });
      for (const [asked, held] of [
        [1, 1],
        [86400, 86400],
        [undefined, 10800],
      ] as const)
        assert.equal((await affine(asked)).sessionAffinityConfig?.clientIP?.timeoutSeconds, held);
      for (const seconds of [0, -1, 86401])
        await assert.rejects(affine(seconds), refused('spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value'));
      await assert.rejects(
        create(api, { ...web, sessionAffinity: 'Cookie' }),
        refused('spec.sessionAffinity: Unsupported value: "Cookie"'),
      );
      const none = await create(api, { ...web, sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } });
      assert.deepEqual([none.sessionAffinity, none.sessionAffinityConfig], ['None', undefined]);
    }));

  test('SA16: the three ways to distribute traffic are stored as they are, and can be taken back', () =>
    withApi(async (api) => {
      for (const trafficDistribution of ['PreferClose', 'PreferSameZone', 'PreferSameNode'])
        assert.equal((await create(api, { ...web, trafficDistribution })).trafficDistribution, trafficDistribution);
      const made = await api.create(Services, service({ ...web, trafficDistribution: 'PreferSameNode' }));
      const taken = await api.patch(Services, made.metadata.name, 'default', { spec: { trafficDistribution: null } }, 'merge');
      assert.equal(taken.spec?.trafficDistribution, undefined);
    }));

  test('SA18, SA19: names are labels of RFC 1123; addresses and prefixes have one spelling', () =>
    withApi(async (api) => {
      for (const name of ['0', '1-2', 'a'.repeat(63)]) await api.create(Services, service(web, name));
      for (const name of ['Web', 'a.b', '-a', 'a-', 'a'.repeat(64)])
        await assert.rejects(api.create(Services, service(web, name)), refused('metadata.name: Invalid value'), name);
      for (const ip of ['010.96.0.7', '::ffff:10.96.0.7', 'fe80::1%eth0', '10.96.0', ' 10.96.0.7']) {
        await assert.rejects(create(api, { ...web, externalIPs: [ip] }), refused('spec.externalIPs[0]: Invalid value'), ip);
        await assert.rejects(create(api, { ...web, clusterIP: ip }), refused('spec.clusterIPs[0]: Invalid value'), ip);
      }
      const ranges = {
        '10.0.0.1/8': 'must not have bits set beyond the prefix length',
        '010.0.0.0/8': 'must not have leading 0s in IP or prefix length',
        '10.0.0.0/08': 'must not have leading 0s in IP or prefix length',
        '10.0.0.0/33': 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        '10.0.0.0': 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        '::ffff:10.0.0.0/104': 'must not have an IPv4-mapped IPv6 address',
      };
      const annotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';
      for (const [range, text] of Object.entries(ranges)) {
        const spec: ServiceSpec = { ...web, type: 'LoadBalancer' };
        await assert.rejects(
          create(api, { ...spec, loadBalancerSourceRanges: [range] }),
          refused(`spec.LoadBalancerSourceRanges[0]: Invalid value: "${range}": ${text}`),
          range,
        );
        const made = service(spec);
        made.metadata.annotations = { [annotation]: `192.0.2.0/24, ${range}` };
        await assert.rejects(
          api.create(Services, made),
          refused(`metadata.annotations[${annotation}]: Invalid value: "${range}": ${text}`),
          range,
        );
      }
    }));

  test('SA8, SA16: a health-check port is not the node port of its own Service; both names of the topology annotation say the same', () =>
    withApi(async (api) => {
      const local: ServiceSpec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 30_777 };
      await assert.rejects(
        create(api, { ...local, ports: [{ port: 80, nodePort: 30_777 }] }),
        refused('spec.healthCheckNodePort: Invalid value: 30777: provided port is already allocated'),
      );
      const made = await create(api, { ...local, ports: [{ port: 80, nodePort: 30_778 }] });
      assert.deepEqual([made.healthCheckNodePort, made.ports![0]!.nodePort], [30_777, 30_778], 'what was refused holds neither port');
      const hinted = (mode: string, hints: string): Service => {
        const one = service(web);
        one.metadata.annotations = { 'service.kubernetes.io/topology-mode': mode, 'service.kubernetes.io/topology-aware-hints': hints };
        return one;
      };
      await api.create(Services, hinted('Auto', 'Auto'));
      await assert.rejects(
        api.create(Services, hinted('Auto', 'Disabled')),
        refused(
          'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Auto": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified',
        ),
      );
    }));

  test('SA13: addresses of a load balancer are VIPs unless said, stand only with an address, and go with the type', () =>
    withApi(async (api) => {
      const made = await api.create(Services, service({ ...web, type: 'LoadBalancer' }));
      const status = (ingress: object[]) =>
        api.patch(Services, made.metadata.name, 'default', { status: { loadBalancer: { ingress } } }, 'merge', {
          subresource: 'status',
        });
      const given = await status([{ ip: '192.0.2.7' }, { hostname: 'lb.example.com' }]);
      assert.deepEqual(given.status?.loadBalancer?.ingress, [{ ip: '192.0.2.7', ipMode: 'VIP' }, { hostname: 'lb.example.com' }]);
      for (const [ingress, text] of [
        [
          { hostname: 'a.b', ipMode: 'VIP' },
          'status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set',
        ],
        [{ ip: '192.0.2.7', ipMode: 'Nat' }, 'status.loadBalancer.ingress[0].ipMode: Unsupported value: "Nat"'],
        [{ ip: '192.0.2.07' }, 'status.loadBalancer.ingress[0].ip: Invalid value'],
        [{ hostname: '192.0.2.7' }, 'must be a DNS name, not an IP address'],
      ] as const)
        await assert.rejects(status([ingress]), refused(text));
      const plain = await api.patch(Services, made.metadata.name, 'default', { spec: { type: 'NodePort' } }, 'merge');
      assert.deepEqual(plain.status, { loadBalancer: {} });
      await assert.rejects(
        status([{ ip: '192.0.2.7' }]),
        refused("status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"),
      );
    }));

  test('what was tried only (dryRun), or failed, takes nothing', () =>
    withApi(async (api) => {
      const spec = { type: 'NodePort', clusterIP: '10.96.9.9', ports: [{ port: 80, nodePort: 30999 }] };
      await api.create(Services, service(spec, 'dry'), { dryRun: true });
      await assert.rejects(create(api, { ...spec, ports: [{ port: 80, nodePort: 99 }] }), refused('nodePort'));
      await create(api, spec);
    }));
});
