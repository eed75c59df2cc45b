import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { Conntrack } from '../../kernel/conntrack.ts';
import { EndpointSlices, Services } from '../../kube/resources.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { askTcp, askUdp, Mirror, UdpClient } from '../testkit/mirror.ts';
import { eventually, TestNode } from '../testkit/node.ts';

const own = ['192.0.2.1', '2001:db8::1'];
const both = (hostPort: number, containerPort: number, hostIP?: string) =>
  ['tcp', 'udp'].map((protocol) => ({ hostPort, containerPort, protocol, ...(hostIP ? { hostIP } : {}) }));
/** As kubelet's runtimes call for a pod `default/NAME`. */
const asking = (name: string, portMappings: readonly unknown[]) => ({
  config: { runtimeConfig: { portMappings } },
  env: { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}` },
});

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CRI10 (${attach}): a host port leads to its pod from everywhere, who asks is seen as who they are, before and after a restart of the agent`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const web = await node.addPod('web', asking('web', both(8080, 80)));
      const other = await node.addPod('other');
      using _mirror = await Mirror.start(web.ns.ns, 80, 'web');
      const everywhere = async (when: string): Promise<void> => {
        for (const [family, address] of own.entries()) {
          const peer = ['192.0.2.2', '2001:db8::2'][family]!;
          for (const [who, ns, seen] of [
            ['another node', node.peer, peer],
            ['the node', node.ns, address],
            ['another pod', other.ns, other.addresses[family]!],
            ['the pod itself', web.ns, address],
          ] as const) {
            const what = `${who} at ${address} ${when}`;
            assert.equal(await askTcp(ns.ns, address, 8080), `web ${seen}`, `TCP from ${what}`);
            assert.equal(await askUdp(ns.ns, address, 8080), `web ${seen}`, `UDP from ${what}`);
          }
        }
      };
      await everywhere('at first');
      await node.stop();
      await everywhere('while no agent runs');
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0, 'all of it was right');
      await everywhere('after a restart');
      assert.equal((await node.cni({ command: 'DEL', containerId: 'web', netns: web.ns.path })).code, 0);
      assert.deepEqual(
        node.ruleset().filter((line) => line.startsWith('element of hostports')),
        [],
      );
      for (const address of own)
        for (const from of [node.peer, node.ns, other.ns])
          await assert.rejects(askTcp(from.ns, address, 8080), /ECONNREFUSED/, address);
    },
  );

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T13 (${attach}): a pod with host port 53 takes no packet that passes through, and none of the cluster's DNS`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const far = ['203.0.113.8', '2001:db8:8::8'];
      for (const address of far) {
        node.peer.own(address);
        run(node.ns.path, 'ip', 'route', 'add', address, 'via', address.includes(':') ? '2001:db8::2' : '192.0.2.2');
      }
      const resolver = await node.addPod('resolver', asking('resolver', both(53, 53)));
      const other = await node.addPod('other');
      using _resolver = await Mirror.start(resolver.ns.ns, 53, 'resolver');
      using _far = await Mirror.start(node.peer.ns, 53, 'far', far);
      using _other = await Mirror.start(other.ns.ns, 53, 'other');
      using _node = await Mirror.start(node.ns.ns, 53, 'node');
      for (const family of [0, 1]) {
        const nodeIp = own[family]!;
        for (const ask of [askTcp, askUdp]) {
          assert.equal(await ask(other.ns.ns, nodeIp, 53), `resolver ${other.addresses[family]}`, 'the mapping is there');
          for (const pod of [other, resolver])
            assert.equal(await ask(pod.ns.ns, far[family]!, 53), `far ${nodeIp}`, 'out, masqueraded');
          assert.match(await ask(node.peer.ns, other.addresses[family]!, 53), /^other /, 'in, to another pod');
          assert.match(await ask(resolver.ns.ns, other.addresses[family]!, 53), /^other /, 'between pods');
          // An address of the node that is a Service's: nobody answers while the node's DNS does not.
          const dns = ['10.96.0.10', 'fd96::a'][family]!;
          for (const from of [other.ns, node.ns])
            await assert.rejects(ask(from.ns, dns, 53, 200), /ETIMEDOUT|no datagram/, 'the DNS of the node');
          // Not through loopback either.
          assert.match(await ask(node.ns.ns, ['127.0.0.1', '::1'][family]!, 53), /^node /, 'loopback');
        }
      }
    },
  );

test(
  'CRI10: a hostIP takes one address of the node, before a mapping for all of them; it must be an address of the node',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const more = ['192.0.2.77', '2001:db8::77'];
    run(node.ns.path, 'ip', 'address', 'add', `${more[0]}/24`, 'dev', 'eth0');
    run(node.ns.path, 'ip', 'address', 'add', `${more[1]}/64`, 'dev', 'eth0', 'nodad');
    await node.startReady();
    const two = await node.addPod(
      'two',
      asking('two', [...both(8080, 80), ...both(8080, 81, more[0]), ...both(8080, 81, more[1])]),
    );
    using _plain = await Mirror.start(two.ns.ns, 80, 'all');
    using _special = await Mirror.start(two.ns.ns, 81, 'special');
    for (const ask of [askTcp, askUdp])
      for (const family of [0, 1]) {
        const peer = ['192.0.2.2', '2001:db8::2'][family];
        assert.equal(await ask(node.peer.ns, own[family]!, 8080), `all ${peer}`);
        assert.equal(await ask(node.peer.ns, more[family]!, 8080), `special ${peer}`);
      }
    const only = await node.addPod('only', asking('only', both(9090, 80, '0.0.0.0')));
    using _only = await Mirror.start(only.ns.ns, 80, 'only');
    assert.match(await askTcp(node.peer.ns, more[0]!, 9090), /^only /);
    await assert.rejects(askTcp(node.peer.ns, own[1]!, 9090), /ECONNREFUSED/, '0.0.0.0 is not IPv6');

    const { path } = node.world.namespace('refused');
    for (const [hostIP, why] of [
      ['1.1.1.1', /hostIP 1\.1\.1\.1 of host port 7\/tcp is not an address of this node/],
      ['192.0.2.2', /is not an address of this node/],
      ['10.96.0.10', /is not an address of this node/],
      ['fe80::1', /a link-local address cannot lead to a pod/],
    ] as const) {
      const { code, json } = await node.cni({
        command: 'ADD',
        containerId: 'refused',
        netns: path,
        ...asking('refused', both(7, 7, hostIP)),
      });
      assert.deepEqual([code, json.code], [1, 7], hostIP);
      assert.match(String(json.msg), why);
    }
    assert.equal(node.status().leases[0]!.used, 2, 'nothing is spent on what is refused');
  },
);

test(
  'CNI13: entries of portMappings that make no sense are refused with key and value; those without a host port ask for nothing',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { path } = node.world.namespace('a');
    const add = (portMappings: unknown) =>
      node.cni({ command: 'ADD', containerId: 'a', netns: path, config: { runtimeConfig: { portMappings } } });
    const good = { hostPort: 80, containerPort: 80 };
    for (const [wrong, why] of [
      ['80', /^runtimeConfig\.portMappings is "80": expected a list/],
      [[good, 80], /portMappings\[1\] is 80: expected an object/],
      [[{ ...good, hostPort: 65_536 }], /portMappings\[0\]\.hostPort is 65536: expected a port/],
      [[{ ...good, hostPort: '80' }], /hostPort is "80"/],
      [[{ hostPort: 80 }], /portMappings\[0\]\.containerPort is undefined/],
      [[{ ...good, containerPort: -1 }], /containerPort is -1/],
      [[{ ...good, protocol: 'icmp' }], /protocol is "icmp": expected tcp, udp or sctp/],
      [[{ ...good, hostIP: 'here' }], /hostIP is "here": expected an address/],
      [[good, { ...good, containerPort: 81 }], /host port 80\/tcp leads to both 80 and 81/],
    ] as const) {
      const { code, json } = await add(wrong);
      assert.deepEqual([code, json.code], [1, 7], JSON.stringify(wrong));
      assert.match(String(json.msg), why);
    }
    for (const none of [null, [], [{ containerPort: 80 }, { hostPort: 0, containerPort: 99_999 }]]) {
      assert.equal((await add(none)).code, 0);
      assert.deepEqual(
        node.ruleset().filter((line) => line.startsWith('element of hostports')),
        [],
      );
      await node.cni({ command: 'DEL', containerId: 'a' });
    }
    // As containerd writes it.
    assert.equal((await add([{ HostPort: 80, ContainerPort: 8080, Protocol: 'tcp', HostIP: '192.0.2.1' }])).code, 0);
    assert.deepEqual(node.ruleset().filter((line) => line.startsWith('element of hostports-at4')).length, 1);
    await node.cni({ command: 'DEL', containerId: 'a' });
    // Said twice, as it may be for two containers of a pod; and SCTP, in large letters.
    assert.equal((await add([good, { ...good, hostIP: '' }, { ...good, protocol: 'SCTP' }])).code, 0);
    assert.deepEqual(
      node
        .ruleset()
        .flatMap((line) => /^element of (hostports[46]) \[\{"concat":\["(\w+)",80/.exec(line)?.slice(1).join(' ') ?? [])
        .sort(),
      ['hostports4 sctp', 'hostports4 tcp', 'hostports6 sctp', 'hostports6 tcp'],
    );
  },
);

test(
  'CRI10: of two pods that ask for one port one is told who has it, before and after a restart, until that one is deleted',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const add = (containerId: string, ports: readonly unknown[], pod = containerId) =>
      node.cni({ command: 'ADD', containerId, netns: node.world.namespace(containerId).path, ...asking(pod, ports) });
    const atOnce = await Promise.all(['a', 'b', 'c', 'd'].map((name) => add(name, both(8080, 80))));
    assert.deepEqual(atOnce.map(({ code }) => code).sort(), [0, 1, 1, 1]);
    const winner = ['a', 'b', 'c', 'd'][atOnce.findIndex(({ code }) => code === 0)]!;
    const taken = new RegExp(`host port \\S+ is taken: default/${winner} has 8080/tcp on this node`);
    for (const { code, json } of atOnce) if (code !== 0) assert.match(String(json.msg), taken);
    assert.equal((await add('e', [{ hostPort: 8080, containerPort: 1, protocol: 'sctp' }])).code, 0, 'another protocol');
    await node.stop();
    await node.startReady();
    for (const [containerId, hostIP] of [
      ['f', undefined],
      ['g', '192.0.2.1'],
      ['h', '::'],
    ] as const) {
      const { code, json } = await add(containerId, both(8080, 80, hostIP));
      assert.deepEqual([code, json.code], [1, 7], containerId);
      assert.match(String(json.msg), taken);
    }
    await node.cni({ command: 'DEL', containerId: winner });
    assert.equal((await add('i', both(8080, 80, '192.0.2.1'))).code, 0);
    assert.equal((await add('j', both(8080, 80, '2001:db8::1'))).code, 0, 'another address');
    assert.equal((await add('k', both(8080, 80))).code, 1, 'all addresses, of which some are taken');
  },
);

test('CRI10: a container in two networks, both of which the runtime asks for its ports, has them by the first', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path, ns } = node.world.namespace('a');
  const add = (ifname: string, portMappings: readonly unknown[]) => {
    const config = { name: `of-${ifname}`, runtimeConfig: { portMappings } };
    return node.cni({ command: 'ADD', containerId: 'a', netns: path, ifname, config });
  };
  // No pod's name: as podman asks.
  assert.equal((await add('eth0', both(8080, 80))).code, 0);
  const further = await add('eth1', both(8080, 80));
  assert.equal(further.code, 0, JSON.stringify(further.json));
  using _mirror = await Mirror.start(ns, 80, 'a');
  assert.equal(await askTcp(node.peer.ns, '192.0.2.1', 8080), 'a 192.0.2.2');
  assert.equal(await askUdp(node.peer.ns, '2001:db8::1', 8080), 'a 2001:db8::2');
  assert.match(String((await add('eth2', both(8080, 81))).json.msg), /host port 8080\/tcp is taken/);
  assert.equal((await node.cni({ command: 'DEL', containerId: 'a', ifname: 'eth1', config: { name: 'of-eth1' } })).code, 0);
  assert.equal(await askTcp(node.peer.ns, '192.0.2.1', 8080), 'a 192.0.2.2');
});

test(
  'CRI6, CRI10: the next sandbox of a pod takes the host port over, and the late DEL of the former one leaves it alone',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const add = async (containerId: string) => {
      const ns = node.world.namespace(containerId);
      const { code } = await node.cni({ command: 'ADD', containerId, netns: ns.path, ...asking('web', both(8080, 80)) });
      assert.equal(code, 0);
      return ns;
    };
    await add('first');
    const second = await add('second');
    using _mirror = await Mirror.start(second.ns, 80, 'second');
    for (const when of ['before', 'after']) {
      for (const address of own) assert.match(await askUdp(node.peer.ns, address, 8080), /^second /, `${when} DEL`);
      await node.cni({ command: 'DEL', containerId: 'first' });
    }
    await node.stop();
    await node.startReady();
    for (const address of own) assert.match(await askTcp(node.peer.ns, address, 8080), /^second /);
  },
);

test('F23: a pod whose lease is lost keeps its host ports', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const web = await node.addPod('web', asking('web', [...both(8080, 80), ...both(8081, 80, '192.0.2.1')]));
  using _mirror = await Mirror.start(web.ns.ns, 80, 'web');
  const before = node.ruleset();
  await node.stop();
  for (const name of readdirSync(node.config.stateDir)) if (name.endsWith('.json')) rmSync(`${node.config.stateDir}/${name}`);
  await node.startReady();
  assert.deepEqual(node.ruleset().sort(), before.sort());
  for (const address of own) assert.match(await askTcp(node.peer.ns, address, 8080), /^web /);
  assert.equal((await node.cni({ command: 'DEL', containerId: 'web' })).code, 0);
  assert.deepEqual(
    node.ruleset().filter((line) => line.startsWith('element of hostports')),
    [],
  );
});

for (const [family, address] of [
  ['ipv4', '192.0.2.1'],
  ['ipv6', '2001:db8::1'],
] as const)
  test(
    `F49, CRI10 (${family}): a UDP flow of one socket follows the host port: to nobody, to a pod, to nobody, to the next pod`,
    needsRoot,
    async () => {
      await using node = await TestNode.make();
      await node.startReady();
      using conntrack = Conntrack.open(node.ns.ns);
      const toPods = (): number =>
        conntrack.list({ protocol: 'udp', originalDestinationPort: 53 }).filter(({ status }) => status.includes('dnat')).length;
      using client = await UdpClient.open(node.peer.ns, address, 53);
      for (const name of ['one', 'two']) {
        await assert.rejects(client.ask(), /ECONNREFUSED/, `before ${name}`);
        const { ns } = await node.addPod(name, asking(name, both(53, 5353)));
        using _mirror = await Mirror.start(ns.ns, 5353, name);
        assert.match(await client.ask(), new RegExp(`^${name} `));
        assert.equal(toPods(), 1);
        assert.equal((await node.cni({ command: 'DEL', containerId: name })).code, 0);
        assert.equal(toPods(), 0, 'forgotten when DEL answers');
      }
    },
  );

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CRI10 (${attach}): a host port whose pod does not listen is refused, at once and from everywhere`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const pod = await node.addPod('deaf', asking('deaf', both(8080, 80)));
      for (const address of own)
        for (const from of [node.peer, node.ns, pod.ns]) {
          await assert.rejects(askTcp(from.ns, address, 8080), /ECONNREFUSED/, address);
          await assert.rejects(askUdp(from.ns, address, 8080), /ECONNREFUSED/, address);
        }
    },
  );

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CVE-2019-9946 (${attach}): a node port keeps its packets, with and without endpoints, whoever came first; the status names the host port`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const [a, b] = [await node.addPod('squatter', asking('squatter', both(30_080, 80))), await node.addPod('served')];
      using _squatter = await Mirror.start(a.ns.ns, 80, 'squatter');
      using _served = await Mirror.start(b.ns.ns, 80, 'served');
      const everywhere = async (expected: RegExp): Promise<void> => {
        for (const address of own)
          for (const from of [node.peer, node.ns, a.ns, b.ns])
            for (const ask of [askTcp, askUdp])
              await eventually(async () => {
                // Refusals are rated by the kernel: those of IPv6 come with the redirects of a pod that reaches itself out of one purse.
                const answer = await ask(from.ns, address, 30_080, 1000).catch((error: Error) => error.message);
                assert.match(answer, expected, `${from.path} at ${address} by ${ask.name}`);
              });
      };
      const clashes = (): string[] => node.status().problems.filter((line) => line.includes('host port'));
      await everywhere(/^squatter /);
      assert.deepEqual(clashes(), []);
      const ports = ['TCP', 'UDP'].map((protocol) => ({
        ...{ name: protocol.toLowerCase(), protocol: protocol as 'TCP', port: 80, nodePort: 30_080 },
      }));
      await node.api.create(Services, {
        metadata: { name: 'np', namespace: 'default' },
        spec: { type: 'NodePort', clusterIP: '10.96.0.81', clusterIPs: ['10.96.0.81', 'fd96::81'], ports },
      });
      await node.settled();
      await everywhere(/ECONNREFUSED/);
      for (const [family, addressType] of (['IPv4', 'IPv6'] as const).entries())
        await node.api.create(EndpointSlices, {
          metadata: { name: `np-${family}`, namespace: 'default', labels: { 'kubernetes.io/service-name': 'np' } },
          ...{ addressType, ports: ports.map(({ name, protocol }) => ({ name, protocol, port: 80 })) },
          endpoints: [{ addresses: [b.addresses[family]!], nodeName: 'me', conditions: { ready: true, serving: true } }],
        });
      await node.settled();
      await everywhere(/^served /);
      assert.deepEqual(
        clashes(),
        ['tcp', 'udp'].map(
          (protocol) => `host port 30080/${protocol} of default/squatter is a port of a Service too, which gets the packets`,
        ),
      );
      await node.api.delete(Services, 'np', 'default');
      await node.settled();
      await everywhere(/^squatter /);
      assert.deepEqual(clashes(), []);
    },
  );
