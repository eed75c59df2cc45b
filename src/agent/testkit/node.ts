import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../../kube/api.ts';
import { FakeApi } from '../../kube/fake.ts';
import { EndpointSlices, Nodes, Services } from '../../kube/resources.ts';
import type { EndpointSlice } from '../../kube/types.ts';
import { nft, run, runAll } from '../../testing/judge.ts';
import { type TestNs, TestWorld } from '../../testing/netns.ts';
import { NodeAgent } from '../agent.ts';
import type { AgentConfig } from '../config.ts';
import { parseSettings } from '../settings.ts';
import type { AgentStatus } from '../status.ts';
import { type CniAnswer, type CniCall, callCni } from './cni.ts';
import { agentConfig } from './config.ts';

const nodeCidrs = ['10.1.0.0/24', 'fd01::/64'];
const peerCidrs = ['10.1.1.0/24', 'fd01:0:0:1::/64'];

/** Tries until the check does not throw; a busy machine is slow, not wrong. @throws what it threw last */
export async function eventually<T>(check: () => T | Promise<T>, withinMs = 60_000): Promise<T> {
  for (const end = performance.now() + withinMs; ; ) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(20);
    }
  }
}

/**
 * A node `me` in namespaces of its own, with a neighbour `peer` on its link and in the API, and a Service `web` (10.96.0.80, fd96::80) with an endpoint
 * on each. The agent lives in this process, and programs the namespace of the node.
 */
export class TestNode implements AsyncDisposable {
  readonly api = new FakeApi();
  readonly world: TestWorld;
  readonly ns: TestNs;
  readonly peer: TestNs;
  readonly config: AgentConfig;
  readonly log: string[] = [];
  #agent: NodeAgent | undefined;

  private constructor(overrides: Partial<AgentConfig>) {
    this.world = new TestWorld('agent');
    this.ns = this.world.namespace('me');
    this.peer = this.world.namespace('peer');
    this.world.join(this.ns, ['192.0.2.1/24', '2001:db8::1/64'], this.peer, ['192.0.2.2/24', '2001:db8::2/64'], ['eth0', 'eth0']);
    for (const [cidr, gateway] of [
      [nodeCidrs[0]!, '192.0.2.1'],
      [nodeCidrs[1]!, '2001:db8::1'],
    ] as const)
      run(this.peer.path, 'ip', 'route', 'add', cidr, 'via', gateway);
    this.config = { ...agentConfig(`${this.world.directory}/state`), ...overrides };
  }

  /** The objects are there; no agent runs yet. */
  static async make(overrides: Partial<AgentConfig> = {}): Promise<TestNode> {
    const node = new TestNode(overrides);
    await node.setNode('me', ['192.0.2.1', '2001:db8::1'], nodeCidrs);
    await node.setNode('peer', ['192.0.2.2', '2001:db8::2'], peerCidrs);
    await node.api.create(Services, {
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        ...{ type: 'ClusterIP', clusterIP: '10.96.0.80', clusterIPs: ['10.96.0.80', 'fd96::80'] },
        ports: ['TCP', 'UDP'].map((protocol) => ({
          name: protocol.toLowerCase(),
          protocol: protocol as 'TCP',
          port: 80,
          targetPort: 8080,
        })),
      },
    });
    await node.setEndpoints(['10.1.0.2', '10.1.1.2'], ['fd01::2', 'fd01:0:0:1::2']);
    return node;
  }

  async setNode(name: string, addresses: string[], podCIDRs: string[]): Promise<void> {
    await this.api.create(Nodes, {
      metadata: { name },
      spec: { podCIDR: podCIDRs[0], podCIDRs },
      status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
    });
  }

  /** Of the Service `web`. */
  async setEndpoints(ipv4: string[], ipv6: string[]): Promise<void> {
    for (const [name, addressType, addresses] of [
      ['web-4', 'IPv4', ipv4],
      ['web-6', 'IPv6', ipv6],
    ] as const) {
      const metadata = { name, namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } };
      const slice: EndpointSlice = {
        ...{ metadata, addressType },
        ports: ['TCP', 'UDP'].map((protocol) => ({ name: protocol.toLowerCase(), protocol: protocol as 'TCP', port: 8080 })),
        endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true, serving: true } })),
      };
      // One change, so that nobody sees a Service without endpoints in between.
      await this.api.create(EndpointSlices, slice).catch(() => this.api.update(EndpointSlices, slice));
    }
  }

  async start(api: Api = this.api): Promise<void> {
    const settings = parseSettings(JSON.parse(JSON.stringify(this.config)));
    this.#agent = new NodeAgent(settings, { ns: this.ns.ns, api, log: (line) => this.log.push(line) });
    await this.#agent.start();
  }

  /** Started and done with all that there is to do. */
  async startReady(api?: Api): Promise<void> {
    await this.start(api);
    await this.settled();
  }

  /** As a kill does: what is in the kernel and on disk stays. */
  async stop(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.close();
  }

  get isStarted(): boolean {
    return this.#agent !== undefined;
  }

  status(): AgentStatus {
    if (!this.#agent) throw new Error('the agent is not started');
    return this.#agent.status();
  }

  /** Fulfilled when the agent is ready and nothing is left to write. */
  settled(): Promise<AgentStatus> {
    return eventually(() => {
      const status = this.status();
      const { pending, error, errors } = status.reconciler;
      if (!status.ready || pending + error > 0)
        throw new Error(`not settled: ${JSON.stringify({ why: status.why, pending, errors })}`);
      return status;
    });
  }

  cni(call: CniCall): Promise<CniAnswer> {
    return callCni(`${this.config.cni.binDir}/podnet`, call);
  }

  /** The same call without a process in between: before the agent hears of anything else. */
  async cniAtOnce({ command, containerId = '', netns = '', ifname = 'eth0', config = {}, env: more = {} }: CniCall): Promise<CniAnswer> {
    if (!this.#agent) throw new Error('the agent is not started');
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: netns,
      CNI_IFNAME: ifname,
      CNI_PATH: '/opt/cni/bin',
      ...more,
    };
    const text = Object.entries(env).map(([name, value]) => `${name}=${value}\0`);
    const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'podnet', type: 'podnet', ...config });
    const { exitCode, stdout } = await this.#agent.call(Buffer.from(`${text.join('')}\0${stdin}`));
    return { code: exitCode, json: stdout.trim() === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>) };
  }

  /** Makes a namespace and adds it to the network. @returns its addresses; @throws Error with the answer of ADD */
  async addPod(
    name: string,
    more: Pick<CniCall, 'config' | 'env'> = {},
  ): Promise<{ ns: TestNs; addresses: string[]; result: Record<string, unknown> }> {
    const ns = this.world.namespace(name);
    const { code, json } = await this.cni({ command: 'ADD', containerId: name, netns: ns.path, ...more });
    if (code !== 0) throw new Error(`ADD: ${JSON.stringify(json)}`);
    const addresses = (json.ips as { address: string }[]).map(({ address }) => address.slice(0, address.indexOf('/')));
    return { ns, addresses, result: json };
  }

  /** What the node's kernel holds, as ip and nft tell it, a line each; without what changes by itself. */
  kernel(): string[] {
    const { path } = this.ns;
    const line = (kind: string) => (item: Record<string, unknown>) => `${kind} ${JSON.stringify(item)}`;
    // Tests ask for it again and again: nine commands are one process to wait for.
    const texts = runAll(path, [
      ...['-4', '-6'].map((family) => ['ip', '-j', family, 'route', 'show', 'table', 'all']),
      ...[['ip', '-j', '-d', 'link'], ['ip', '-j', 'address'], ['ip', '-j', 'neigh']],
      ...[['bridge', '-j', '-d', 'link'], ['bridge', '-j', 'fdb'], ['tc', '-j', 'qdisc']],
      ['nft', '-j', 'list', 'ruleset'],
    ]);
    type Listed = Record<string, unknown>[];
    const [routes4, routes6, allLinks, allAddresses, allNeighbours, bridgeLinks, fdb, allQdiscs] = texts
      .slice(0, -1)
      .map((text) => (text.trim() === '' ? [] : (JSON.parse(text) as Listed).filter((item) => Object.keys(item).length > 0))) as [
      ...[Listed, Listed, Listed, Listed, Listed],
      ...[Listed, Listed, Listed],
    ];
    const routes = [...routes4, ...routes6];
    // IPv6's multicast and local routes come with links, some a moment later.
    const own = routes.filter(({ table, type }) => table !== 'local' && type !== 'multicast' && type !== 'anycast');
    const links = allLinks.map(({ ifname, mtu, address, operstate, master, linkinfo }) => {
      const kind = (linkinfo as { info_kind?: string } | undefined)?.info_kind;
      // The address of podnet's own link is nobody's: the kernel's choice.
      return { ifname, mtu, address: ifname === 'podnet-svc' ? '' : address, operstate, master, kind };
    });
    const addresses = allAddresses.flatMap(({ ifname, addr_info }) =>
      ((addr_info ?? []) as Record<string, unknown>[])
        .filter(({ scope, family }) => scope !== 'link' || family !== 'inet6')
        .map(({ local, prefixlen }) => ({ ifname, local, prefixlen })),
    );
    // Ports of a bridge, and where they were told that a MAC is.
    const ports = [
      ...bridgeLinks.map(({ ifname, isolated, learning, flood }) => ({ ifname, isolated, learning, flood })),
      ...fdb.filter(({ master, flags }) => master === 'cbr0' && String(flags).includes('self') === false),
    ].filter(({ ifname }) => ifname !== 'cbr0' && ifname !== 'podnet-svc');
    const qdiscs = allQdiscs.map(({ handle: _, refcnt: __, ...qdisc }) => qdisc);
    const redirects = qdiscs
      .filter(({ kind }) => kind === 'ingress')
      .map(({ dev }) => run(path, 'tc', 'filter', 'show', 'dev', String(dev), 'ingress').match(/mirred .*/)?.[0] ?? 'none')
      .map((redirect) => ({ redirect }));
    const neighbours = allNeighbours.filter(({ state }) => (state as string[] | undefined)?.includes('PERMANENT'));
    return [
      ...own.map(line('route')),
      ...links.map(line('link')),
      ...addresses.map(line('address')),
      ...neighbours.map(line('neighbour')),
      ...ports.map(line('port')),
      ...qdiscs.map(line('qdisc')),
      ...redirects.map(line('filter')),
      ...rulesetLines((JSON.parse(texts.at(-1)!) as { nftables: Listed }).nftables),
    ].sort();
  }

  /** podnet's table as nft lists it, without handles; a line for each object and element. */
  ruleset(): string[] {
    return rulesetLines(nft(this.ns.path, 'list', 'ruleset'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.world[Symbol.dispose]();
  }
}

function rulesetLines(items: readonly Record<string, unknown>[]): string[] {
  return items.flatMap((item) => {
    const [kind, body] = Object.entries(item)[0] as [string, Record<string, unknown>];
    if (kind === 'metainfo') return [];
    const { handle: _, elem, ...rest } = body;
    // Whether the table has an owner now.
    if (kind === 'table') delete rest.flags;
    // What was counted is the packets' doing.
    if (kind === 'counter') for (const count of ['packets', 'bytes']) delete rest[count];
    const name = `${kind} ${JSON.stringify(rest)}`;
    return [name, ...((elem ?? []) as unknown[]).map((element) => `element of ${String(rest.name)} ${JSON.stringify(element)}`)];
  });
}
