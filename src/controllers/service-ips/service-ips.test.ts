import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { TestServer } from '../../apiserver/testkit/server.ts';
import { type Api, ApiError } from '../../kube/api.ts';
import { conditionOf } from '../../kube/objects.ts';
import { Events, IPAddresses, ServiceCIDRs, Services } from '../../kube/resources.ts';
import type { Service, ServiceSpec } from '../../kube/types.ts';
import { kubectlBinaries, needsTool, requireTool } from '../../testing/tools.ts';
import { eventually } from '../harness.ts';
import { startControllers } from '../start.ts';
import { cidrFinalizer } from './ranges.ts';

const serviceCidrs = ['10.96.0.0/28', 'fd00:10:96::/112'];

async function withCluster(run: (api: Api, server: TestServer) => Promise<void>, now = Date.now): Promise<void> {
  await using server = await TestServer.start({ serviceCidrs });
  const api = server.api.localApi('test');
  const errors: string[] = [];
  const controllers = startControllers(api, {
    ...{ podCidrs: ['10.244.0.0/16'], serviceCidrs, caCertificate: 'PEM', serviceIps: true, now },
    onError: (name, key, error) => errors.push(`${name} ${key}: ${error.message}`),
  });
  try {
    await controllers.ready;
    await run(api, server);
    assert.deepEqual(errors, []);
  } finally {
    controllers.stop();
  }
}

const create = async (api: Api, name: string, spec: ServiceSpec = {}): Promise<Service> =>
  api.create(Services, { metadata: { name, namespace: 'default' }, spec: { ports: [{ port: 80 }], ...spec } });
const cidr = (api: Api, name: string, ...cidrs: string[]) => api.create(ServiceCIDRs, { metadata: { name }, spec: { cidrs } });
const ready = async (api: Api, name: string, status: string): Promise<void> =>
  eventually(async () => {
    const found = await api.get(ServiceCIDRs, name);
    assert.equal(conditionOf(found.status?.conditions, 'Ready')?.status, status);
    assert.ok(found.metadata.finalizers?.includes(cidrFinalizer));
  });
const gone = (asked: () => Promise<unknown>): Promise<void> =>
  eventually(async () => {
    const error = await asked().catch((error: unknown) => error);
    assert.ok(error instanceof ApiError && error.code === 404);
  });
const reasons = async (api: Api): Promise<string[]> => (await api.list(Events)).items.map(({ reason }) => reason ?? '');

describe('ServiceCIDRs and IPAddresses', () => {
  test('IP1: the default ServiceCIDR is the server’s range, Ready, and comes back when it is deleted without being used', () =>
    withCluster(async (api) => {
      await ready(api, 'kubernetes', 'True');
      assert.deepEqual((await api.get(ServiceCIDRs, 'kubernetes')).spec?.cidrs, serviceCidrs);
      const { uid } = (await api.get(ServiceCIDRs, 'kubernetes')).metadata;
      await api.delete(ServiceCIDRs, 'kubernetes');
      await eventually(async () => assert.notEqual((await api.get(ServiceCIDRs, 'kubernetes')).metadata.uid, uid));
      await ready(api, 'kubernetes', 'True');
    }));

  test('IP1, IP2: when a range is full, addresses come from a further ServiceCIDR once it is Ready', () =>
    withCluster(async (api) => {
      for (let i = 0; i < 14; i++) await create(api, `s${i}`);
      await assert.rejects(create(api, 'more'), /range is full/);
      await cidr(api, 'more', '10.97.0.0/24');
      await ready(api, 'more', 'True');
      const { spec } = await create(api, 'more');
      assert.match(spec!.clusterIP!, /^10\.97\.0\./);
      const object = await api.get(IPAddresses, spec!.clusterIP!);
      assert.deepEqual(object.spec?.parentRef, { group: '', resource: 'services', namespace: 'default', name: 'more' });
      assert.equal((await create(api, 'asked', { clusterIP: '10.97.0.7' })).spec?.clusterIP, '10.97.0.7');
      await assert.rejects(
        create(api, 'beyond', { clusterIP: '10.98.0.1' }),
        /The range of valid IPs is 10.96.0.0\/28, 10.97.0.0\/24/,
      );
    }));

  test('IP1: a ServiceCIDR in use stays, Terminating, gives no more addresses, and goes with the last of them', () =>
    withCluster(async (api) => {
      await cidr(api, 'more', '10.97.0.0/24');
      await ready(api, 'more', 'True');
      await create(api, 'holder', { clusterIP: '10.97.0.9' });
      await api.delete(ServiceCIDRs, 'more');
      await ready(api, 'more', 'False');
      assert.equal(conditionOf((await api.get(ServiceCIDRs, 'more')).status?.conditions, 'Ready')?.reason, 'Terminating');
      await assert.rejects(create(api, 'late', { clusterIP: '10.97.0.10' }), /not in the valid range/);
      await api.delete(Services, 'holder', 'default');
      await gone(() => api.get(ServiceCIDRs, 'more'));
    }));

  test('IP1, IP2: of overlapping ServiceCIDRs one may go while another covers its addresses', () =>
    withCluster(async (api) => {
      await cidr(api, 'wide', '10.97.0.0/16');
      await cidr(api, 'narrow', '10.97.0.0/24');
      await ready(api, 'wide', 'True');
      await ready(api, 'narrow', 'True');
      await create(api, 'holder', { clusterIP: '10.97.0.9' });
      await api.delete(ServiceCIDRs, 'narrow');
      await gone(() => api.get(ServiceCIDRs, 'narrow'));
      await api.delete(ServiceCIDRs, 'wide');
      await ready(api, 'wide', 'False');
      await cidr(api, 'again', '10.97.0.8/29');
      await gone(() => api.get(ServiceCIDRs, 'wide'));
    }));

  test('P7, IP2: of Services that are made at the same time, by name and by address, no two have one address', () =>
    withCluster(async (api) => {
      const asked = ['10.96.0.9', undefined];
      const answers = await Promise.allSettled(
        Array.from({ length: 30 }, (_, i) => create(api, `s${i}`, { ipFamilies: ['IPv4'], clusterIP: asked[i % 2] })),
      );
      const { items } = await api.list(Services);
      const addresses = items.map(({ spec }) => spec!.clusterIP!);
      assert.equal(new Set(addresses).size, addresses.length, addresses.join());
      assert.equal(addresses.filter((address) => address === '10.96.0.9').length, 1);
      // The range of 14 is full: whoever came too late is told, and has none.
      const made = answers.filter(({ status }) => status === 'fulfilled').length;
      assert.deepEqual([made, addresses.length], [14, 14]);
    }));

  test('IP2: an IPAddress that somebody made takes the address: no Service gets it, in either family', () =>
    withCluster(async (api) => {
      const spec = { parentRef: { group: 'gateway.networking.k8s.io', resource: 'gateways', namespace: 'default', name: 'g' } };
      for (const name of ['10.96.0.5', 'fd00:10:96::5']) {
        await api.create(IPAddresses, { metadata: { name }, spec });
        const families = { ipFamilies: [name.includes(':') ? 'IPv6' : 'IPv4'] };
        await assert.rejects(create(api, 'late', { clusterIP: name, ...families }), /provided IP is already allocated/);
      }
      const { spec: made } = await create(api, 'first');
      await assert.rejects(
        api.create(IPAddresses, { metadata: { name: made!.clusterIP! }, spec }),
        (error: ApiError) => error.reason === 'AlreadyExists',
      );
    }));

  test('IP1, IP3: what a ServiceCIDR cannot be, and that it is immutable', () =>
    withCluster(async (api) => {
      for (const [cidrs, text] of [
        [[], 'spec.cidrs: Required value'],
        [['10.0.0.0/24', '10.1.0.0/24'], 'no more than one IP for each IP family'],
        [['10.0.0.1/24'], 'spec.cidrs[0]: Invalid value'],
        [['fd00::/48'], 'must be an IPv6 prefix length of 64 or more'],
        [['10.0.0.0/24', 'fd00::/64', 'fd01::/64'], 'may only hold up to 2 values'],
      ] as const)
        await assert.rejects(
          cidr(api, 'bad', ...cidrs),
          (error: ApiError) => error.code === 422 && error.message.includes(text),
          text,
        );
      await cidr(api, 'large', 'fd99::/64');
      await ready(api, 'large', 'True');
      const made = await create(api, 'six', { clusterIP: 'fd99::ffff:ffff:ffff:fff0' });
      assert.deepEqual(made.spec?.ipFamilies, ['IPv6']);
      await assert.rejects(
        api.patch(ServiceCIDRs, 'large', undefined, { spec: { cidrs: ['fd98::/64'] } }, 'merge'),
        /spec.cidrs: Invalid value: .*field is immutable/,
      );
    }));

  test('IP3: a lost IPAddress is made again, and one without its Service goes; others’ stay', () => {
    let shift = 0;
    return withCluster(
      async (api) => {
        const { spec } = await create(api, 'web', { clusterIP: '10.96.0.9' });
        await api.delete(IPAddresses, spec!.clusterIP!);
        await eventually(async () => {
          assert.equal((await api.get(IPAddresses, spec!.clusterIP!)).spec?.parentRef?.name, 'web');
          assert.ok((await reasons(api)).includes('ClusterIPNotAllocated'));
        });
        shift = 120_000;
        const labels = { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' };
        const parentRef = { group: '', resource: 'services', namespace: 'default', name: 'nobody' };
        await api.create(IPAddresses, { metadata: { name: '10.96.0.12' }, spec: { parentRef } });
        await api.create(IPAddresses, { metadata: { name: '10.96.0.11', labels }, spec: { parentRef } });
        await gone(() => api.get(IPAddresses, '10.96.0.11'));
        await api.get(IPAddresses, '10.96.0.12');
        await eventually(async () => assert.ok((await reasons(api)).includes('IPAddressNotAllocated')));
      },
      () => Date.now() + shift,
    );
  });

  test('IP3: Services that come and go leave no IPAddress, and the repair does not make any anew', () =>
    withCluster(async (api) => {
      const before = (await api.list(IPAddresses)).items.length;
      for (let i = 0; i < 60; i++) {
        await create(api, 'brief', { ipFamilyPolicy: 'RequireDualStack' });
        await api.delete(Services, 'brief', 'default');
        if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal((await api.list(IPAddresses)).items.length, before);
      assert.deepEqual(await reasons(api), []);
    }));

  const tool = kubectlBinaries().at(-1)!;
  test('IP1, IP2: kubectl shows ranges and addresses in their columns', needsTool(tool), () =>
    withCluster(async (api, server) => {
      const directory = mkdtempSync(join(tmpdir(), 'podnet-test-kubectl-'));
      try {
        const config = join(directory, 'config');
        writeFileSync(config, server.kubeconfig(), { mode: 0o600 });
        await create(api, 'web', { clusterIP: '10.96.0.9' });
        const run = promisify(execFile);
        const kubectl = async (...args: string[]): Promise<string> =>
          (await run(requireTool(tool), ['--kubeconfig', config, '--cache-dir', directory, ...args], { timeout: 60_000 })).stdout;
        assert.match(
          await kubectl('get', 'servicecidrs'),
          /^NAME +CIDRS +AGE\nkubernetes +10\.96\.0\.0\/28,fd00:10:96::\/112 +\d+s\n$/,
        );
        assert.match(await kubectl('get', 'ipaddresses'), /^NAME +PARENTREF +AGE\n10\.96\.0\.9 +services\/default\/web +\d+s\n$/);
        assert.match(await kubectl('get', 'servicecidr', 'kubernetes', '-o', 'jsonpath={.status.conditions[*].type}'), /Ready/);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }),
  );
});
