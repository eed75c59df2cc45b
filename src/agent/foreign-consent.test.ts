import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as layouts from '../foreign/testkit/layouts.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { foreignRules, told, World, write } from './testkit/foreign-world.ts';
import { eventually, type TestNode } from './testkit/node.ts';

const tools = ['iptables-nft', 'ip6tables-nft'] as const;
const cidrs = { 'iptables-nft': '10.1.0.0/16', 'ip6tables-nft': 'fd01::/48' };
type Tool = (typeof tools)[number];

/** DOCKER-USER as iptables shows it. */
const user = (node: TestNode, tool: Tool): string[] => run(node.ns.path, tool, '-S', 'DOCKER-USER').trim().split('\n').slice(1);
const own = (tool: Tool): string[] =>
  ['-s', '-d'].map((side) => `-A DOCKER-USER ${side} ${cidrs[tool]} -m comment --comment podnet -j ACCEPT`);
/** Everything but podnet's own rules. */
const others = (node: TestNode): string => foreignRules(node).replace(/^.* comment "podnet"\n/gm, '');

test(
  "F41, F42: with consent pods pass Docker's firewall through DOCKER-USER, by rules that are podnet's by their comment, and STATUS is 0",
  needsRoot,
  async (t) => {
    await using world = await World.make({ foreignFirewall: 'allow' });
    const { node } = world;
    // An administrator's own rule stays the first that is asked.
    const docker = [...layouts.dockerIpv4, ...layouts.dockerIpv6, 'iptables-nft -I DOCKER-USER -s 203.0.113.0/24 -j DROP'];
    write(node, docker);
    const before = others(node);
    const now = (tool: Tool): string[] => [
      ...(tool === 'iptables-nft' ? ['-A DOCKER-USER -s 203.0.113.0/24 -j DROP'] : []),
      ...own(tool),
      '-A DOCKER-USER -j RETURN',
    ];
    const inPlace = (): Promise<void> =>
      eventually(() => {
        for (const tool of tools) assert.deepEqual(user(node, tool), now(tool));
      });

    await t.test('packets pass, and nothing of others changed', async () => {
      assert.deepEqual((await told(node)).problems, []);
      await inPlace();
      assert.equal(others(node), before);
      assert.deepEqual(await world.lost(new Set()), []);
      assert.equal((await node.cni({ command: 'STATUS' })).code, 0);
      assert.deepEqual(
        node.log.filter((line) => line.includes('DOCKER-USER')),
        ['ip', 'ip6'].map((family) => `table ${family} filter chain DOCKER-USER: rules with the comment "podnet": 2 added`),
      );
      // The counters say that it is these rules that let packets pass.
      for (const tool of tools)
        assert.match(run(node.ns.path, tool, '-v', '-S', 'DOCKER-USER'), /--comment podnet -c [1-9]\d* \d+ -j ACCEPT/);
    });

    await t.test('they come back when somebody deletes them, all or one', async () => {
      for (const tool of tools) write(node, [`${tool} -D DOCKER-USER -s ${cidrs[tool]} -m comment --comment podnet -j ACCEPT`]);
      await eventually(() => {
        for (const tool of tools) assert.deepEqual(user(node, tool).toSorted(), now(tool).toSorted());
      });
      for (const tool of tools) write(node, [`${tool} -F DOCKER-USER`, `${tool} -A DOCKER-USER -j RETURN`]);
      await eventually(() => {
        for (const tool of tools) assert.deepEqual(user(node, tool), [...own(tool), '-A DOCKER-USER -j RETURN']);
      });
      assert.deepEqual((await told(node)).problems, []);
    });

    await t.test('behind a rule that ends the chain they would not be asked: they are written before it', async () => {
      write(node, ['iptables-nft -I DOCKER-USER -j RETURN']);
      await eventually(() =>
        assert.deepEqual(user(node, 'iptables-nft'), [
          ...own('iptables-nft'),
          '-A DOCKER-USER -j RETURN',
          '-A DOCKER-USER -j RETURN',
        ]),
      );
      assert.deepEqual(await world.lost(new Set()), []);
    });

    await t.test('they go when there is no need of them', async () => {
      write(node, ['iptables-nft -P FORWARD ACCEPT']);
      await eventually(() =>
        assert.deepEqual(
          user(node, 'iptables-nft').filter((rule) => rule.includes('podnet')),
          [],
        ),
      );
      assert.deepEqual((await told(node)).problems, []);
      write(node, ['iptables-nft -P FORWARD DROP']);
      await eventually(() => assert.equal(user(node, 'iptables-nft').filter((rule) => rule.includes('podnet')).length, 2));
    });

    await t.test('they go when consent is taken back, and STATUS answers 50 again', async () => {
      await node.stop();
      assert.equal(user(node, 'iptables-nft').filter((rule) => rule.includes('podnet')).length, 2, 'without an agent pods go on');
      node.config.foreignFirewall = 'report';
      await node.startReady();
      const { problems } = await told(node);
      assert.equal(problems.length, 2, problems.join('\n'));
      for (const tool of tools) assert.doesNotMatch(user(node, tool).join('\n'), /podnet/);
      assert.equal((await node.cni({ command: 'STATUS' })).json.code, 50);
    });
  },
);

test("F42: Docker 28 lets pods pass alike, though nothing ends its DOCKER-USER", needsRoot, async () => {
  await using world = await World.make({ foreignFirewall: 'allow' });
  const { node } = world;
  write(node, [...layouts.docker28Ipv4, ...layouts.docker28Ipv6]);
  assert.deepEqual((await told(node)).problems, []);
  for (const tool of tools) assert.deepEqual(user(node, tool), own(tool));
  assert.deepEqual(await world.lost(new Set()), []);
});

test(
  'F42: without a place of its owner for the rules of others a firewall is told of and left alone, consent or not',
  needsRoot,
  async () => {
    await using world = await World.make({ foreignFirewall: 'allow' });
    const { node } = world;
    write(node, [...layouts.firewalld, ...layouts.ufw]);
    const before = foreignRules(node);
    const { problems } = await told(node);
    assert.ok(problems.length > 0);
    assert.equal(foreignRules(node), before);
    assert.equal((await node.cni({ command: 'STATUS' })).json.code, 50);
  },
);
