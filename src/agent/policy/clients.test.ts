import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import { test } from 'node:test';
import type { NetworkPolicySpec, Service } from '../../kube/types.ts';
import { type Family, families } from '../../net/ip.ts';
import { type PolicyPlanNode, PolicyPlanner } from '../../policy/plan/index.ts';
import { Enforcer } from '../../policy/plan/testkit/enforcer.ts';
import { readPolicy } from '../../policy/policies.ts';
import { readParts } from '../../policy/read-world.ts';
import { networkPolicy, node, pod } from '../../policy/testkit/objects.ts';
import { outsideAddress, podAddress, service, serviceNode, slice, Testbed } from '../../services/testkit/testbed.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const balanced = { ipv4: '198.51.100.1', ipv6: 'fd00:51::1' };
const nodeIp = { ipv4: String(serviceNode.addresses[0]), ipv6: String(serviceNode.addresses[1]) };
const whole = { ipv4: 32, ipv6: 128 };
const group = 28782;
const [clusterPort, localPort] = [30080, 30081];

/** A node with Services and policies as its agent plans them, `a` behind three Services. */
class Judged implements AsyncDisposable {
  readonly bed = new Testbed();
  readonly #family: Family;
  readonly #planner: PolicyPlanner;
  readonly #enforcer: Enforcer;

  constructor(family: Family) {
    this.#family = family;
    for (const name of ['a', 'b', 'c']) run(this.bed.node.path, 'ip', 'link', 'set', `to-${name}`, 'group', `${group}`);
    const to = `${balanced[family]}/${whole[family]}`;
    const [toNode, toOutside] = family === 'ipv4' ? ['203.0.113.1', '203.0.113.2'] : ['fd00:203::1', 'fd00:203::2'];
    run(this.bed.outside.path, 'ip', 'route', 'add', to, 'via', toNode);
    run(this.bed.node.path, 'ip', 'route', 'add', to, 'via', toOutside);
    const podLinks = { group };
    const planNode: PolicyPlanNode = { name: 'n1', podLinks, podCidrs: [] };
    this.#planner = new PolicyPlanner({ node: planNode, held: this.bed.reconciler.actual() });
    this.#enforcer = new Enforcer(this.#planner, this.bed.reconciler, planNode);
    const port = { name: '', port: 80, protocol: 'TCP' };
    const add = (name: string, ip: string[], nodePort?: number, more: Partial<Service> = {}, spec: Service['spec'] = {}): void => {
      this.bed.planner.setService({ ...service(name, ip, [{ ...port, ...(nodePort ? { nodePort } : {}) }], spec), ...more });
      this.bed.planner.setSlice(slice(name, family, ['a']));
    };
    add('cluster', [vip[family]], clusterPort);
    add('local', [vip[family].replace(/1$/, '2')], localPort, {}, { externalTrafficPolicy: 'Local' });
    const status = { loadBalancer: { ingress: [{ ip: balanced[family] }] } };
    add('balanced', [vip[family].replace(/1$/, '3')], undefined, { status }, { type: 'LoadBalancer' });
    const objects = [
      node('n1', serviceNode.addresses.map(String)),
      node('n2', ['192.168.0.2', 'fd00:192::2']),
      ...['a', 'b', 'c', 'far'].map((name) =>
        pod(name, `${podAddress(name, 'ipv4')} ${podAddress(name, 'ipv6')}`, { app: name }, { node: name === 'far' ? 'n2' : 'n1' }),
      ),
    ];
    const { nodes, pods } = readParts(objects);
    for (const one of nodes) this.#planner.setNode(one);
    for (const one of pods) this.#planner.setPod(one);
    this.bed.sync();
  }

  /** The only policy there is. */
  say(spec: NetworkPolicySpec): void {
    this.#planner.setPolicy(readPolicy(networkPolicy('p', spec))!);
    this.#enforcer.settle();
  }

  /** Which of the ways to `a` lead from there to it. */
  async reach(from: string): Promise<string[]> {
    const ways = [
      ['pod', podAddress('a', this.#family), 8080],
      ['clusterIP', vip[this.#family], 80],
      ['nodePort', nodeIp[this.#family], clusterPort],
      ['nodePort Local', nodeIp[this.#family], localPort],
      ['load balancer', balanced[this.#family], 80],
    ] as const;
    const found = await Promise.all(
      // The outside knows no way to pods and ClusterIPs.
      ways.slice(from === 'outside' ? 2 : 0).map(async ([name, address, port]) => {
        try {
          (await this.bed.connect(from, address, port, 500)).destroy();
          return [name];
        } catch {
          return [];
        }
      }),
    );
    return found.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bed[Symbol.asyncDispose]();
  }
}

const every = ['pod', 'clusterIP', 'nodePort', 'nodePort Local', 'load balancer'];
const fromOutside = every.slice(2);
const isA = { matchLabels: { app: 'a' } };
const isB = { matchLabels: { app: 'b' } };

/** How a connection ends when it is used. */
function endOf(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve('still open'), 5000);
    const ended = (how: string): void => {
      clearTimeout(late);
      resolve(how);
    };
    socket.on('error', (error: NodeJS.ErrnoException) => ended(error.code ?? 'error')).on('close', () => ended('closed'));
    socket.resume().write('x');
  });
}

for (const family of families) {
  const only = (address: string): NetworkPolicySpec => ({
    podSelector: isA,
    ingress: [{ from: [{ ipBlock: { cidr: `${address}/${whole[family]}` } }], ports: [{ port: 8080 }] }],
  });

  test(
    `NP6, NP17 (${family}): who comes from outside by a node port or a load balancer is judged by its own address, whatever address the pod then sees`,
    needsRoot,
    async () => {
      await using judged = new Judged(family);
      const { bed } = judged;
      await bed.serveTcp('a', family, 8080);
      const seen = async (port: number): Promise<string> => (await bed.ask('outside', nodeIp[family], port)).seen;
      judged.say(only(outsideAddress[family]));
      assert.deepEqual([await seen(clusterPort), await seen(localPort)], [nodeIp[family], outsideAddress[family]]);
      assert.deepEqual(await judged.reach('outside'), fromOutside);
      assert.deepEqual(await judged.reach('b'), []);
      assert.deepEqual(await judged.reach('far'), []);
      assert.deepEqual(await judged.reach('node'), every, 'NP12');
      assert.deepEqual(await judged.reach('a'), every, 'NP11: itself, by whichever way');
      // The node's address is the node's own.
      judged.say(only(nodeIp[family]));
      assert.deepEqual(await judged.reach('outside'), []);
    },
  );

  test(`NP17 (${family}): egress to a Service is judged by the pod behind it and its port, by whichever address it is asked`, needsRoot, async () => {
    await using judged = new Judged(family);
    await judged.bed.serveTcp('a', family, 8080);
    const egress = (to: object, port: number): NetworkPolicySpec => ({
      ...{ podSelector: isB, policyTypes: ['Egress'] },
      egress: [{ to: [to], ports: [{ port }] }],
    });
    judged.say(egress({ podSelector: isA }, 8080));
    assert.deepEqual(await judged.reach('b'), every);
    judged.say(egress({ podSelector: isA }, 80));
    assert.deepEqual(await judged.reach('b'), [], "the Service's port says nothing");
    judged.say(egress({ ipBlock: { cidr: `${vip[family]}/${whole[family]}` } }, 80));
    assert.deepEqual(await judged.reach('b'), [], 'nor does its address');
    judged.say(egress({ ipBlock: { cidr: `${podAddress('a', family)}/${whole[family]}` } }, 8080));
    assert.deepEqual(await judged.reach('b'), every, 'NP6: a pod has an address');
  });

  test(`NP14, NP17 (${family}): what came in by Services is cut by the policy that denies it, and comes again with the one that allows it`, needsRoot, async () => {
    await using judged = new Judged(family);
    const { bed } = judged;
    await bed.serveTcp('a', family, 8080);
    judged.say({ podSelector: isA, ingress: [{}] });
    const open = [
      await bed.connect('outside', nodeIp[family], clusterPort),
      await bed.connect('outside', nodeIp[family], localPort),
      await bed.connect('outside', balanced[family], 80),
      await bed.connect('b', vip[family], 80),
    ];
    const ofNode = await bed.connect('node', vip[family], 80);
    judged.say({ podSelector: isA, ingress: [{ from: [{ podSelector: isA }] }] });
    assert.deepEqual(await Promise.all(open.map(endOf)), open.map(() => 'ECONNRESET'));
    assert.deepEqual(await judged.reach('outside'), []);
    judged.say(only(outsideAddress[family]));
    assert.deepEqual(await judged.reach('outside'), fromOutside);
    ofNode.write('x');
    const [data] = (await once(ofNode, 'data', { signal: AbortSignal.timeout(5000) })) as [Buffer];
    assert.match(String(data), /^a /, 'NP12: what the node opened stays');
    ofNode.destroy();
  });
}
