import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { Chain } from '../testkit/chain.ts';
import { nothingIsLeft, ok, versions } from '../testkit/cni-spec.ts';
import { TestNode } from '../testkit/node.ts';

for (const types of [
  ['podnet', 'after'],
  ['before', 'podnet'],
  ['before', 'podnet', 'after'],
])
  test(
    `CNI5, CNI8, CNI12, F34: in the chain ${types.join(', ')} each plugin gets what came before, and DEL goes the other way`,
    needsRoot,
    async () => {
      await using node = await TestNode.make();
      await node.startReady();
      const chain = new Chain(node.config.cni.binDir, types);
      const { path } = node.world.namespace('a');
      const pod = { containerId: 'a', netns: path };
      const { code, json } = await chain.call({ command: 'ADD', ...pod });
      assert.equal(code, 0, JSON.stringify(json));
      const names = (json.interfaces as { name: string }[]).map(({ name }) => name.replace(/^pod[0-9a-f]{8}$/, 'host'));
      assert.deepEqual(
        names,
        types.flatMap((type) => (type === 'podnet' ? ['host', 'eth0'] : [`tag-${type}`])),
      );
      // Each address belongs to the pod's end, wherever that is in the list now.
      assert.deepEqual(
        (json.ips as { interface: number; address: string }[]).map((one) => [names[one.interface], one.address]),
        [
          ['eth0', '10.1.0.2/32'],
          ['eth0', 'fd01::2/128'],
        ],
      );
      assert.deepEqual(await chain.call({ command: 'CHECK', ...pod }), ok, 'what others added is no fault');
      assert.deepEqual(
        await chain.call({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] } }),
        ok,
      );
      assert.deepEqual(await chain.call({ command: 'STATUS' }), ok);
      run(path, 'ping', '-c1', '-W5', '192.0.2.2');
      assert.deepEqual(await chain.call({ command: 'DEL', ...pod }), ok);
      assert.deepEqual(await chain.call({ command: 'DEL', ...pod }), ok);
      for (const type of types.filter((one) => one !== 'podnet')) {
        const calls = chain.calls(type);
        assert.deepEqual(
          calls.map(({ command }) => command),
          ['ADD', 'CHECK', 'GC', 'STATUS', 'DEL', 'DEL'],
        );
        assert.equal(calls[0]!.prevResult === undefined, types.indexOf(type) === 0);
        assert.deepEqual(calls[4]!.prevResult, json);
      }
      await nothingIsLeft(node);
    },
  );

test('CNI5, F34: what a plugin before podnet made is passed on whole, in every version', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  for (const cniVersion of versions) {
    const { path } = node.world.namespace(`v${cniVersion}`);
    const prevResult = {
      cniVersion,
      interfaces: [{ name: 'net9', mac: '02:00:00:00:00:01', sandbox: path }],
      ips: [
        {
          ...(cniVersion.startsWith('0.') ? { version: '4' } : {}),
          address: '192.168.7.7/24',
          gateway: '192.168.7.1',
          interface: 0,
        },
      ],
      routes: [{ dst: '192.168.0.0/16', gw: '192.168.7.1' }],
      dns: { domain: 'example.org' },
    };
    const { code, json } = await node.cni({
      command: 'ADD',
      containerId: `v${cniVersion}`,
      netns: path,
      config: { cniVersion, prevResult },
    });
    assert.equal(code, 0, JSON.stringify(json));
    const first = (key: string): unknown => (json[key] as unknown[])[0];
    assert.deepEqual(
      [first('interfaces'), first('ips'), first('routes'), json.dns],
      [prevResult.interfaces[0], prevResult.ips[0], prevResult.routes[0], prevResult.dns],
    );
    assert.deepEqual(
      (json.ips as { interface: number }[]).slice(1).map((one) => one.interface),
      [2, 2],
    );
  }
});

test('CNI5, F34: a result before podnet that lacks parts, or has all there is, is passed on as it was', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const whole = {
    interfaces: [{ name: 'net9', mac: '02:00:00:00:00:01', mtu: 9000, sandbox: '/x', socketPath: '/s', pciID: '0000:00:1f.6' }],
    ips: [{ address: '192.168.7.7/24' }],
    routes: [{ dst: '192.168.0.0/16', mtu: 1400, advmss: 1360, priority: 7, table: 9, scope: 253 }],
    dns: { nameservers: ['192.0.2.53'], search: ['example.org'], options: ['ndots:2'] },
  };
  const results: Record<string, Partial<typeof whole> & Record<string, unknown>> = {
    whole,
    'no-ips': { interfaces: whole.interfaces },
    'no-interfaces': { ips: whole.ips },
    nothing: {},
    // As tuning and others written in Go say that they have none.
    nulls: { interfaces: null, ips: null, routes: null, dns: null } as never,
  };
  for (const [containerId, before] of Object.entries(results)) {
    const { result } = await node.addPod(containerId, { config: { prevResult: { cniVersion: '1.1.0', ...before } } });
    const count = (before.interfaces ?? []).length;
    for (const key of ['interfaces', 'ips', 'routes'] as const) {
      const [former, all] = [before[key] ?? [], result[key] as unknown[]];
      assert.deepEqual(all.slice(0, former.length), former, `${containerId}: ${key}`);
      assert.equal(all.length, former.length + 2, `${containerId}: ${key}`);
    }
    assert.deepEqual(result.dns, before.dns ?? {}, containerId);
    // Of both families, at the pod's end of podnet's link, behind whatever was there.
    const own = (result.ips as { interface?: number }[]).slice(-2).map((one) => one.interface);
    assert.deepEqual(own, [count + 1, count + 1], containerId);
    // The others' parts are made up, and CHECK would miss them.
    if (Object.values(before).some((part) => part !== null)) continue;
    const check = { command: 'CHECK', containerId, netns: `${node.world.directory}/${containerId}`, config: { prevResult: result } };
    assert.deepEqual(await node.cni(check), ok, containerId);
  }
});
