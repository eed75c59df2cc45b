import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Services } from '../../kube/resources.ts';
import { dig } from '../../dns/testkit/dig.ts';
import { eventually, type TestLab } from './harness.ts';

type Options = { skip: string | false };

/** Names, asked from a pod by BIND's dig and by the pod's own resolver. */
export function dnsTests(lab: () => TestLab, options: Options): void {
  /** Answers to a question from the pod on the other node than most servers, at the server of its resolv.conf. */
  const ask = async (...args: string[]): Promise<{ status: string; data: string[] }> => {
    const pod = await lab().ready('client-2');
    const server = /^nameserver (\S+)/m.exec(await lab().inside(pod, 'cat', '/etc/resolv.conf'))?.[1] ?? 'none';
    const { status, answers } = await dig(pod.netns, server, ...args);
    return { status, data: answers.map((line) => line.split(' ').slice(3).join(' ')).sort() };
  };
  const local = (name: string): string => `${name}.default.svc.cluster.local`;
  const addresses = async (name: string, ...how: string[]): Promise<string[]> => [
    ...(await ask(...how, name, 'A')).data.map((data) => data.replace('A ', '')),
    ...(await ask(...how, name, 'AAAA')).data.map((data) => data.replace('AAAA ', '')),
  ];

  test('C8: a pod resolves the name of the API', options, async () => {
    const { spec } = await lab().api.get(Services, 'kubernetes', 'default');
    assert.deepEqual((await ask('kubernetes.default.svc.cluster.local')).data, [`A ${spec!.clusterIP}`]);
  });

  test('C7, D2, D3, D4, D7, D8: A, AAAA, SRV and PTR of ordinary and headless Services, over UDP and TCP', options, async () => {
    const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
    const { spec } = await lab().service('dns-test', { selector: { app: 'server' }, ports });
    await lab().service('dns-headless', { clusterIP: 'None', selector: { app: 'server' }, ports });
    const servers = await Promise.all(['server-1', 'server-2'].map((name) => lab().ready(name)));
    const pods = servers.flatMap(({ ips }) => ips);
    for (const how of ['+notcp', '+tcp']) {
      await eventually(async () => assert.deepEqual(await addresses(local('dns-test'), how), spec!.clusterIPs));
      await eventually(async () => assert.deepEqual((await addresses(local('dns-headless'), how)).sort(), [...pods].sort()));
      assert.deepEqual((await ask(how, `_http._tcp.${local('dns-test')}`, 'SRV')).data, [`SRV 0 100 80 ${local('dns-test')}.`]);
      const targets = (await ask(how, `_http._tcp.${local('dns-headless')}`, 'SRV')).data;
      // One for each address of each endpoint: the families have endpoints of their own.
      assert.equal(targets.length, pods.length);
      for (const target of targets) assert.match(target, /^SRV 0 \d+ 8080 \S+\.dns-headless\.default\.svc\.cluster\.local\.$/);
      for (const ip of spec!.clusterIPs!) assert.deepEqual((await ask(how, '-x', ip)).data, [`PTR ${local('dns-test')}.`]);
      for (const ip of pods)
        assert.match((await ask(how, '-x', ip)).data.join(), /PTR \S+\.dns-headless\.default\.svc\.cluster\.local\./);
    }
  });

  test('C9, R2: a pod resolves partial names by its search path', options, async () => {
    await lab().service('partial', { selector: { app: 'server' }, ports: [{ port: 80, targetPort: 8080 }] });
    const pod = await lab().ready('client-1');
    for (const name of ['partial', 'partial.default', 'partial.default.svc', local('partial')])
      await eventually(async () =>
        assert.match(await lab().inside(pod, 'wget', '-q', '-O', '-', `http://${name}/hostname`), /^server-[12]$/),
      );
  });

  test(
    'C5, C6, D6, D13: a pod with host name and subdomain is found under both names of its headless Service',
    options,
    async () => {
      await lab().service('db', { clusterIP: 'None', selector: { app: 'db' }, ports: [{ name: 'sql', port: 5432 }] });
      const pod = await lab().pod('db-pod', {
        labels: { app: 'db' },
        tcp: { sql: 5432 },
        spec: { hostname: 'first', subdomain: 'db' },
      });
      await eventually(async () => assert.deepEqual(await addresses(local('first.db')), pod.ips));
      assert.deepEqual(await addresses(local('db')), pod.ips);
      assert.equal((await ask(local('second.db'))).status, 'NXDOMAIN');
    },
  );

  test(
    'C4, D9: an ExternalName is an alias, follows its change, and becomes addresses when the type changes',
    options,
    async () => {
      await lab().service('alias', { type: 'ExternalName', externalName: 'foo.example.com' });
      const cname = async (): Promise<string[]> => (await ask(local('alias'), 'CNAME')).data;
      await eventually(async () => assert.deepEqual(await cname(), ['CNAME foo.example.com.']));
      await lab().api.patch(Services, 'alias', 'default', { spec: { externalName: 'bar.example.com' } }, 'merge');
      await eventually(async () => assert.deepEqual(await cname(), ['CNAME bar.example.com.']));
      const spec = { type: 'ClusterIP', externalName: null, ipFamilyPolicy: 'RequireDualStack', ports: [{ port: 80 }] };
      const changed = await lab().api.patch(Services, 'alias', 'default', { spec }, 'merge');
      await eventually(async () => assert.deepEqual(await addresses(local('alias')), changed.spec!.clusterIPs));
      assert.deepEqual(await cname(), []);
    },
  );
}
