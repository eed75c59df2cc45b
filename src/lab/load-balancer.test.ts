import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNotFound } from '../kube/api.ts';
import { Services } from '../kube/resources.ts';
import { ip, run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { eventually, failure, type Place, TestLab } from './conformance/harness.ts';
import { recordedProcesses } from './processes.ts';
import { leftSince, ownLab, podnet, stateOf } from './testkit/podnet.ts';

test(
  'a load balancer is reached from outside in both families; its addresses go where the endpoints are, and to another node when theirs dies',
  needsRoot,
  async () => {
    const names = ownLab('lb');
    const before = stateOf(names);
    {
      await using lab = await TestLab.up(names.lab);
      const outside: Place = { name: 'outside', netns: names.outside, ips: ['198.51.100.10', '2001:db8:51:100::a'] };
      const announcers = (address: string): string[] =>
        lab.nodes.filter((node) => ip(names.node(node).netns, 'neigh', 'show', 'proxy').some(({ dst }) => dst === address));
      const patch = (spec: object) => lab.api.patch(Services, 'lb', 'default', { spec }, 'merge');
      /** All pods answer, and no other, at each address. */
      const served = (addresses: readonly string[], pods: readonly string[], from = outside): Promise<void> =>
        eventually(async () => {
          for (const address of addresses) {
            const seen = new Set<string>();
            for (let i = 0; i < 20; i++) seen.add(await lab.http(from, address, 80, '/hostname', 2000));
            assert.deepEqual([...seen].sort(), [...pods].sort(), address);
          }
        });

      await lab.service('lb', {
        type: 'LoadBalancer',
        selector: { app: 'lb' },
        ports: [{ name: 'http', port: 80, targetPort: 8080 }],
      });
      const addresses = await eventually(async () => {
        const ingress = (await lab.api.get(Services, 'lb', 'default')).status?.loadBalancer?.ingress ?? [];
        assert.equal(ingress.length, 2, 'an address of each family');
        assert.ok(ingress.every(({ ipMode }) => ipMode === 'VIP'));
        return ingress.map((one) => one.ip!);
      });
      assert.deepEqual(
        addresses.map((address) => address.includes(':')),
        [false, true],
      );
      // SD6: without endpoints connections are refused, which takes somebody who has the address.
      for (const address of addresses)
        await eventually(async () =>
          assert.equal(await failure(lab.http(outside, address, 80, '/', 2000)), 'ECONNREFUSED', address),
        );
      for (const node of lab.nodes) await lab.pod(`lb-${node}`, { node, labels: { app: 'lb' }, tcp: { http: 8080 } });
      await served(addresses, ['lb-node-1', 'lb-node-2']);
      for (const address of addresses) assert.equal(announcers(address).length, 1, `one node announces ${address}`);
      for (const node of lab.nodes)
        assert.ok(
          !addresses.some((address) => run(names.node(node).netns, 'ip', '-o', 'address').includes(` ${address}/`)),
          'no interface has it',
        );

      // P1: with the agent of its node dead an address stays where it is, also for who asks for it anew.
      const owner = announcers(addresses[0]!)[0]!;
      process.kill(recordedProcesses(names.pidsDir).get(`${owner}-agent`)!.pid, 'SIGKILL');
      for (const address of addresses) run(names.router, 'ip', 'neigh', 'flush', 'to', address);
      for (const address of addresses) for (let i = 0; i < 5; i++) await lab.http(outside, address, 80, '/hostname', 5000);
      assert.deepEqual(announcers(addresses[0]!), [owner]);

      // SD4 d, SD7: with policy Local the endpoint sees the client, and only its node takes the traffic.
      const [v4 = '', v6 = ''] = addresses;
      const first = announcers(v4)[0]!;
      const second = lab.nodes.find((node) => node !== first)!;
      await patch({ externalTrafficPolicy: 'Local' });
      await lab.removePod(`lb-${first}`);
      await eventually(() => assert.deepEqual(addresses.map(announcers), [[second], [second]]));
      await served(addresses, [`lb-${second}`]);
      for (const [i, address] of addresses.entries()) {
        const seen = await lab.http(outside, address, 80, '/clientip');
        assert.ok(seen.includes(outside.ips[i]!), `${address}: ${seen}`);
      }

      // A node that dies says nothing any more, on any layer.
      await patch({ externalTrafficPolicy: 'Cluster' });
      await eventually(() => assert.deepEqual(announcers(v4), [first]));
      await served(addresses, [`lb-${second}`]);
      run(names.node(first).netns, 'ip', 'link', 'set', 'eth0', 'down');
      const diedAt = performance.now();
      await served(addresses, [`lb-${second}`]);
      const tookMs = performance.now() - diedAt;
      assert.ok(tookMs < 40_000, `another node took over after ${Math.round(tookMs)} ms, before the API knew of the death`);
      assert.ok(announcers(v4).includes(second) && announcers(v6).includes(second));

      await lab.api.delete(Services, 'lb', 'default');
      await eventually(async () => {
        const error = await lab.api.get(Services, 'lb', 'default').catch((error: unknown) => error);
        assert.ok(isNotFound(error), 'the finalizer went when the addresses were given back');
        assert.deepEqual(ip(names.node(second).netns, 'neigh', 'show', 'proxy'), []);
      });
    }
    assert.deepEqual(await leftSince(before, names), []);
  },
);

test('an address is announced by nodes of its own link, of whichever; where none of them may, status says so', needsRoot, async () => {
  const names = ownLab('lblinks');
  const before = stateOf(names);
  {
    await using lab = await TestLab.up(names.lab, ['--links', '2']);
    const outside: Place = { name: 'outside', netns: names.outside, ips: [] };
    const asked = '172.30.1.200';
    await lab.pod('web', { node: 'node-2', labels: { app: 'web' }, tcp: { http: 8080 } });
    await lab.service('web', {
      ...{ type: 'LoadBalancer', loadBalancerIP: asked, selector: { app: 'web' } },
      ports: [{ name: 'http', port: 80, targetPort: 8080 }],
    });
    const [, other = ''] = await eventually(async () => {
      const ingress = (await lab.api.get(Services, 'web', 'default')).status?.loadBalancer?.ingress ?? [];
      assert.equal(ingress.length, 2);
      return ingress.map(({ ip }) => ip!);
    });
    for (const address of [asked, other]) await eventually(async () => assert.equal(await lab.http(outside, address, 80, '/hostname', 2000), 'web'));
    const status = async (): Promise<string> => (await podnet('status', '--name', names.lab)).stdout;
    const told = await status();
    assert.match(told, new RegExp(`^${asked.replaceAll('.', '\\.')} +default/web +node-2$`, 'm'));
    assert.match(told, new RegExp(`^${other} +default/web +node-1$`, 'm'));
    // Node 1, which alone stands on the link of this address, has no endpoint.
    await lab.api.patch(Services, 'web', 'default', { spec: { externalTrafficPolicy: 'Local' } }, 'merge');
    await eventually(async () =>
      assert.match(await status(), new RegExp(`^${other} +default/web +nobody: no Ready node on its link has an endpoint`, 'm')),
    );
    assert.equal(await lab.http(outside, asked, 80, '/hostname', 5000), 'web');
  }
  assert.deepEqual(await leftSince(before, names), []);
});
