import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { NetNs } from '../kernel/netns.ts';
import { ProbeSocket } from '../kernel/probes.ts';
import { processors, runOn } from '../kernel/scheduling.ts';
import { isPodReady } from '../kube/objects.ts';
import { Nodes, Pods, Services } from '../kube/resources.ts';
import { type Family, families, IpAddr } from '../net/ip.ts';
import type { End } from '../policy/plan/testkit/fabric.ts';
import { type Probe, Prober } from '../policy/plan/testkit/probes.ts';
import type { AnyObject } from '../policy/policies.ts';
import { dns, type Recipe, recipeNamespaces, recipePolicies, recipes, recipesFolder } from '../policy/testkit/recipes.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { kubectlBinaries, needsTool, requireTool } from '../testing/tools.ts';
import { eventually, TestLab } from './conformance/harness.ts';
import type { LabNames } from './names.ts';
import { podsOf } from './node-client.ts';
import { Held } from './testkit/held.ts';
import { leftSince, ownLab, stateOf } from './testkit/podnet.ts';

const exec = promisify(execFile);
const tool = kubectlBinaries().at(-1)!;

type Asked = readonly [from: string, to: string, port?: string];
const keyOf = ({ metadata: { namespace = 'default', name } }: AnyObject): string => `${namespace}/${name}`;
const labelsOf = ({ metadata }: AnyObject): Record<string, string> => (metadata as { labels?: Record<string, string> }).labels ?? {};
const dnsKey = keyOf(dns);
const isAddress = (end: string): boolean => IpAddr.tryParse(end) !== undefined;

/** Pods of all recipes, once each: who has the same labels in the same namespace is the same pod here. Cluster DNS is the nodes' own. */
class RecipePods {
  readonly manifests: AnyObject[] = [];
  readonly #names = new Map<string, string>();

  constructor() {
    for (const pod of recipes.flatMap(({ pods }) => pods)) {
      const what = RecipePods.#identity(pod);
      if (keyOf(pod) === dnsKey || this.#names.has(what)) continue;
      this.#add(pod.metadata.namespace ?? 'default', `pod-${this.#names.size}`, labelsOf(pod), what);
    }
    for (const number of [1, 2]) this.#add('sentinel', `sentinel-${number}`, {}, `sentinel ${number}`);
  }

  static #identity({ metadata }: AnyObject): string {
    return `${metadata.namespace ?? 'default'} ${JSON.stringify(labelsOf({ metadata }))}`;
  }

  /** They take turns on two nodes, so that some pairs share one and others do not. */
  #add(namespace: string, name: string, labels: Record<string, string>, what: string): void {
    this.#names.set(what, `${namespace}/${name}`);
    const spec = {
      nodeSelector: { 'kubernetes.io/hostname': `node-${1 + (this.manifests.length % 2)}` },
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'agnhost', ports: [{ containerPort: 9376 }] }],
    };
    this.manifests.push({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels }, spec } as unknown as AnyObject);
  }

  /** @param key of a pod of the recipe @returns the key of the pod that stands for it */
  of({ pods }: Recipe, key: string): string {
    const full = key.includes('/') ? key : `default/${key}`;
    const pod = pods.find((one) => keyOf(one) === full);
    return this.#names.get(RecipePods.#identity(pod!))!;
  }
}

/** The lab with its pods, the client outside, and what sends packets between them. */
class Stage implements Disposable {
  readonly #prober: Prober;
  readonly #ends: ReadonlyMap<string, End>;
  readonly #held: Held;

  private constructor(ends: ReadonlyMap<string, End>, prober: Prober, held: Held) {
    this.#ends = ends;
    this.#prober = prober;
    this.#held = held;
  }

  /** @param servers addresses of cluster DNS */
  static async open(lab: TestLab, names: LabNames, keys: readonly string[], servers: readonly IpAddr[]): Promise<Stage> {
    const held = new Held();
    const ends = new Map<string, End>();
    const add = (key: string, kind: End['kind'], netns: string, ips: readonly string[]): void => {
      ends.set(key, { name: key, kind, ns: held.use(NetNs.open(netns)), addresses: ips.map((ip) => IpAddr.parse(ip)) });
    };
    const pods = (await Promise.all(lab.nodes.map((node) => podsOf(names.node(node).runnerSocket)))).flat();
    for (const key of keys) {
      const pod = pods.find(({ namespace, name }) => `${namespace}/${name}` === key);
      assert.ok(pod, `no runner knows ${key}`);
      add(key, key.startsWith('sentinel/') ? 'sentinel' : 'pod', pod.netns, pod.podIPs);
    }
    const links = JSON.parse(run(names.outside, 'ip', '-j', 'address', 'show', 'eth0')) as { addr_info: { local: string; scope: string }[] }[];
    const addresses = links.flatMap(({ addr_info }) => addr_info.filter(({ scope }) => scope === 'global').map(({ local }) => local));
    add('outside', 'outside', names.outside, addresses);
    const prober = held.use(new Prober([...ends.values()].filter(({ kind }) => kind !== 'sentinel'), [...ends.values()].filter(({ kind }) => kind === 'sentinel')));
    const ns = held.use(NetNs.open(names.node(lab.nodes[0]!).netns));
    ends.set(dnsKey, { name: dnsKey, kind: 'node', ns, addresses: servers });
    return new Stage(ends, prober, held);
  }

  end(key: string): End {
    return this.#ends.get(key)!;
  }

  /** @returns what of it is otherwise than it must be, in sentences */
  async disagreements(recipe: Recipe, pods: RecipePods, unlimited = false): Promise<string[]> {
    const asked = [...(recipe.open ?? []).map((one) => [one, true] as const), ...(recipe.closed ?? []).map((one) => [one, unlimited] as const)];
    const expected: boolean[] = [];
    const probes = asked.flatMap(([one, isOpen]) =>
      // UDP to cluster DNS, which a process answers, is asked apart; its other ports are no Service's.
      one.includes(dnsKey) && one[2] !== 'TCP 53'
        ? []
        : this.#probes(recipe, pods, one).map((probe) => {
            expected.push(isOpen);
            return probe;
          }),
    );
    const outcomes = await this.#prober.send(probes);
    return probes.flatMap(({ to, source, destination, protocol, port }, i) => {
      const { answered } = outcomes[i]!;
      // What goes outside arrives under the node's address, and cluster DNS is a Service's: there the answer alone tells.
      const arrived = to.kind === 'outside' || to.kind === 'node' ? answered : outcomes[i]!.arrived;
      const isOpen = expected[i]!;
      const words = `${source} to ${destination} ${protocol} ${port}: must be ${isOpen ? 'open' : 'closed'}, arrived ${arrived}, answered ${answered}`;
      return arrived === isOpen && answered === isOpen ? [] : [words];
    });
  }

  /** The same in both families, but where an address says which. */
  #probes(recipe: Recipe, pods: RecipePods, [from, to, port = 'TCP 80']: Asked): Probe[] {
    const [protocol, number] = port.split(' ') as ['TCP' | 'UDP', string];
    const [a, b] = [from, to].map((key) => this.end(isAddress(key) ? 'outside' : key === dnsKey ? dnsKey : pods.of(recipe, key))) as [End, End];
    const wanted = [from, to].some((key) => key.includes('::')) ? (['ipv6'] as const) : families;
    const addressOf = (end: End, family: Family): IpAddr => end.addresses.find((address) => address.family === family)!;
    return wanted.map((family) => ({
      ...{ from: a, to: b, source: addressOf(a, family), destination: addressOf(b, family), protocol, port: Number(number) },
    }));
  }

  /**
   * Which of these pods get an answer from cluster DNS. Nothing comes back from where a policy denies: so the one that is not limited asks last, twice, and its answers are waited for.
   */
  async answered(keys: readonly string[], free: string, servers: readonly IpAddr[]): Promise<Set<string>> {
    using held = new Held();
    const sockets = [...keys, free].flatMap((key) =>
      servers.map((server) => ({ key, server, socket: held.use(ProbeSocket.udp(this.end(key).ns, server.family)) })),
    );
    const answered = new Map<ProbeSocket, string>();
    const hear = (): void => {
      for (const { key, server, socket } of sockets) if (socket.receive()) answered.set(socket, `${key} ${server.family}`);
    };
    for (let round = 0; round < 2; round++) {
      for (const { server, socket } of sockets) socket.send(question, server, 53);
      const last = sockets.filter(({ key }) => key === free);
      for (const { socket } of last) answered.delete(socket);
      await eventually(() => {
        hear();
        assert.ok(last.every(({ socket }) => answered.has(socket)), 'cluster DNS does not answer a pod that no policy selects');
      });
    }
    await sleep(50);
    hear();
    return new Set(answered.values());
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }
}

/** kubernetes.default.svc.cluster.local, A. */
const question = Buffer.concat([
  Buffer.from([0x70, 0x6e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
  ...['kubernetes', 'default', 'svc', 'cluster', 'local', ''].flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]),
  Buffer.from([0, 1, 0, 1]),
]);

/** The outside has no routes to pods; here it has, so that who is outside comes as who it is. */
async function routesFromOutside(lab: TestLab, names: LabNames): Promise<void> {
  for (const node of lab.nodes) {
    const { spec } = await lab.api.get(Nodes, node);
    const { ips } = await lab.node(node);
    for (const cidr of spec?.podCIDRs ?? []) {
      const via = ips.find((ip) => ip.includes(':') === cidr.includes(':'))!;
      run(names.router, 'ip', ...(cidr.includes(':') ? ['-6'] : []), 'route', 'replace', cidr, 'via', via);
    }
  }
}

const skip = needsRoot.skip || needsTool(tool).skip;
test(`NP1, NP4, NP6: the recipes that people copy, applied with ${tool.name}, do to packets between pods on two nodes what each is meant to`, { skip }, async (t) => {
  const names = ownLab('recipes');
  const before = stateOf(names);
  const all = processors();
  {
    await using lab = await TestLab.up(names.lab);
    const kubectl = async (...args: string[]): Promise<void> => {
      const own = ['--kubeconfig', names.kubeconfig, '--cache-dir', join(names.dir, 'kubectl')];
      await exec(requireTool(tool), [...own, ...args], { timeout: 60_000 });
    };
    const pods = new RecipePods();
    const file = join(names.dir, 'recipes.json');
    const own = recipeNamespaces.filter(({ metadata: { name } }) => name !== 'default' && name !== 'kube-system');
    const sentinel = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'sentinel' } };
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...own, sentinel, ...pods.manifests] }));
    await kubectl('apply', '-f', file);
    await eventually(async () => {
      for (const { metadata } of pods.manifests) assert.ok(isPodReady(await lab.api.get(Pods, metadata.name!, metadata.namespace)), `${metadata.name} is not Ready`);
    });
    await routesFromOutside(lab, names);
    const { spec } = await lab.api.get(Services, 'kube-dns', 'kube-system');
    const servers = spec!.clusterIPs!.map((ip) => IpAddr.parse(ip));
    using stage = await Stage.open(lab, names, pods.manifests.map(keyOf), servers);
    const free = 'sentinel/sentinel-1';

    /** Of the pods of a recipe that must, or must not, reach cluster DNS. */
    const dnsDisagreements = async (recipe: Recipe, unlimited: boolean): Promise<string[]> => {
      const asks = ([, to, port]: Asked): boolean => to === dnsKey && port === 'UDP 53';
      const open = new Set((recipe.open ?? []).filter(asks).map(([from]) => pods.of(recipe, from)));
      const closed = (recipe.closed ?? []).filter(asks).map(([from]) => pods.of(recipe, from));
      if (unlimited) for (const key of closed) open.add(key);
      const keys = [...new Set([...open, ...closed])];
      if (keys.length === 0) return [];
      const answered = await stage.answered(keys, free, servers);
      return keys.flatMap((key) =>
        servers.flatMap(({ family }) =>
          answered.has(`${key} ${family}`) === open.has(key) ? [] : [`${key} asks cluster DNS (${family}): must be ${open.has(key) ? 'answered' : 'silence'}`],
        ),
      );
    };
    const agree = (recipe: Recipe, unlimited: boolean): Promise<void> =>
      eventually(async () => {
        const wrong = [...(await stage.disagreements(recipe, pods, unlimited)), ...(await dnsDisagreements(recipe, unlimited))];
        assert.deepEqual(wrong, [], `recipe ${recipe.number}${unlimited ? ', not applied' : ''}: ${recipe.intent}`);
      }, 60_000);

    runOn(all.slice(0, 1));
    try {
      for (const recipe of recipes) {
        const begin = performance.now();
        await agree(recipe, true);
        const numbers = [...(recipe.with ?? []), recipe.number];
        const files: string[] = [];
        for (const number of numbers) {
          const whole = join(recipesFolder, readdirSync(recipesFolder).find((name) => name.startsWith(`${number}-`))!);
          if (number !== recipe.number || recipe.document === undefined) files.push('-f', whole);
          else {
            const step = join(names.dir, `recipe-${number}-${recipe.document}.json`);
            writeFileSync(step, JSON.stringify(recipePolicies(number, recipe.document)[0]));
            files.push('-f', step);
          }
        }
        await kubectl('apply', '-n', 'default', ...files);
        await agree(recipe, false);
        // Nothing comes behind that takes it back.
        await agree(recipe, false);
        await kubectl('delete', '-n', 'default', ...files);
        t.diagnostic(`recipe ${recipe.number}${recipe.document === undefined ? '' : `, step ${recipe.document + 1}`}: ${(performance.now() - begin).toFixed(0)} ms`);
      }
    } finally {
      runOn(all);
    }
  }
  assert.deepEqual(await leftSince(before, names), []);
});
