import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { allSets } from './sets.ts';
import { outsideAddress, podAddress, service, serviceNode, slice, Testbed } from './testkit/testbed.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const nodeIp = { ipv4: String(serviceNode.addresses[0]), ipv6: String(serviceNode.addresses[1]) };
const web = [{ name: '', port: 80, protocol: 'TCP', nodePort: 30080 }];
const sticky = (timeoutSeconds?: number) => ({
  sessionAffinity: 'ClientIP',
  ...(timeoutSeconds === undefined ? {} : { sessionAffinityConfig: { clientIP: { timeoutSeconds } } }),
});

/** Who answers so many connections, each name once. */
async function answering(bed: Testbed, from: string, address: string, port: number, times = 12): Promise<string[]> {
  const names = new Set<string>();
  for (let i = 0; i < times; i++) names.add((await bed.ask(from, address, port)).who);
  return [...names].sort();
}

for (const family of families) {
  const number = family === 'ipv4' ? 4 : 6;
  /** Clients that the kernel knows an endpoint of. */
  const affinityMap = (bed: Testbed): string => run(bed.node.path, 'nft', 'list', 'map', 'inet', 'podnet', `affinity${number}`);
  const remembered = (bed: Testbed): string[] =>
    [...affinityMap(bed).matchAll(/[0-9a-f:]+ \. (\S+) .*?expires/g)].map((match) => match[1]!);

  test(
    `SD16, SA14 (${family}): a client stays with its endpoint, by the ClusterIP and by the node port alike; others have their own`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
      bed.planner.setService(service('web', [vip[family]], web, sticky()));
      bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
      bed.sync();
      const chosen = new Map<string, string>();
      for (const from of ['a', 'b', 'node', 'outside']) {
        const first = (await bed.ask(from, nodeIp[family], 30080)).who;
        assert.deepEqual(await answering(bed, from, nodeIp[family], 30080), [first]);
        if (from !== 'outside') assert.deepEqual(await answering(bed, from, vip[family], 80), [first], `${from} by the ClusterIP`);
        chosen.set(from, first);
      }
      assert.ok(remembered(bed).includes(outsideAddress[family]) && remembered(bed).includes(podAddress('a', family)));
      assert.match(affinityMap(bed), /timeout 3h expires 2h59m/);
      bed.planner.setService(service('web', [vip[family]], web));
      bed.sync();
      assert.deepEqual(await answering(bed, 'a', vip[family], 80, 60), ['b', 'c', 'far'], 'affinity taken away');
    },
  );

  test(
    `SD16 (${family}): an endpoint that is gone is chosen anew and then kept, and one that stays is kept through every change of the others`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
      bed.planner.setService(service('web', [vip[family]], web, sticky(60)));
      bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
      bed.sync();
      const { who } = await bed.ask('a', vip[family], 80);
      const others = ['b', 'c', 'far'].filter((name) => name !== who);
      for (const present of [[who], [...others, who], [who, others[0]!], [others[1]!, who, others[0]!]]) {
        bed.planner.setSlice(slice('web', family, present));
        bed.sync();
        assert.deepEqual(await answering(bed, 'a', vip[family], 80, 6), [who], `of ${present}`);
      }
      bed.planner.setSlice(slice('web', family, others));
      bed.sync();
      const next = (await bed.ask('a', vip[family], 80)).who;
      assert.ok(others.includes(next));
      bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
      bed.sync();
      assert.deepEqual(await answering(bed, 'a', vip[family], 80), [next], 'who came back is not remembered');
    },
  );

  test(`SD16 (${family}): an affinity ends when its time is over, and each new connection begins the time anew`, needsRoot, async () => {
    await using bed = new Testbed();
    for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
    bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
    const leftMs = (): number => {
      const [, s, ms = '0'] = /expires (?:(\d+)s)?(?:(\d+)ms)?/.exec(affinityMap(bed))!;
      return Number(s) * 1000 + Number(ms);
    };
    bed.planner.setService(service('web', [vip[family]], web, sticky(50)));
    bed.sync();
    await bed.ask('a', vip[family], 80);
    // Less and less is left unless it begins anew. What nft tells of is old by the time that it takes to start, which on a busy machine is long.
    for (let tries = 0; ; tries++) {
      await pause();
      const before = leftMs();
      await bed.ask('a', vip[family], 80);
      const after = leftMs();
      if (after > before) break;
      assert.ok(tries < 20, `${after} ms are left, before it was ${before}`);
    }
    bed.planner.setService(service('web', [vip[family]], web, sticky(1)));
    bed.sync();
    let known: string[] = [];
    // It is over in a second, in which nft may not even have started.
    for (let tries = 0; known.length === 0 && tries < 20; tries++) {
      await bed.ask('a', vip[family], 80);
      known = remembered(bed);
    }
    assert.deepEqual(known, [podAddress('a', family)], 'a new timeout counts from the next connection');
    const deadline = Date.now() + 10_000;
    while (remembered(bed).length > 0 && Date.now() < deadline) await pause();
    assert.deepEqual(remembered(bed), []);
  });

  test(`SD16 (${family}): when no more clients can be remembered new ones are served all the same`, needsRoot, async () => {
    await using bed = new Testbed();
    for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
    const map = allSets.find(({ name }) => name === `affinity${number}`)!;
    bed.reconciler.contribute('a smaller map', [{ kind: 'nft-set', ...map, size: 1 }]);
    bed.planner.setService(service('web', [vip[family]], web, sticky()));
    bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
    bed.sync();
    const [first] = await answering(bed, 'a', vip[family], 80, 1);
    assert.deepEqual(await answering(bed, 'b', vip[family], 80, 60), ['b', 'c', 'far']);
    assert.deepEqual(await answering(bed, 'a', vip[family], 80), [first]);
    assert.deepEqual(remembered(bed), [podAddress('a', family)]);
  });

  test(
    `SD16 (${family}): under externalTrafficPolicy Local the outside keeps an endpoint of the Local set, whatever the node's own affinity is`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
      bed.planner.setService(service('web', [vip[family]], web, { ...sticky(), externalTrafficPolicy: 'Local' }));
      bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
      bed.sync();
      const [first] = await answering(bed, 'outside', nodeIp[family], 30080, 1);
      assert.ok(first === 'b' || first === 'c');
      assert.deepEqual(await answering(bed, 'outside', nodeIp[family], 30080), [first]);
      const [inside] = await answering(bed, 'a', nodeIp[family], 30080, 1);
      assert.deepEqual(await answering(bed, 'a', nodeIp[family], 30080), [inside]);
    },
  );
}
