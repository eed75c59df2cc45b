import type { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Item, NftElement, NodeNetwork } from '../../reconcile/model.ts';
import { directions, type Policy, type PolicyId, type Problem } from '../model.ts';
import type { Labels, PolicyNode, PolicyPod } from '../world.ts';
import { Classes } from './elements/classes.ts';
import { Cluster } from './remote/cluster.ts';
import { readHeld } from './elements/held.ts';
import { Identities } from './remote/identities.ts';
import { IdentityElements } from './elements/identity-elements.ts';
import { Judge } from './local/judge.ts';
import { LocalElements } from './elements/local-elements.ts';
import { Local } from './local/local.ts';
import { policySet, protocolNames, valueText } from './elements/names.ts';
import { Atoms } from './remote/peers.ts';
import { PolicyTable } from './local/policy-table.ts';
import { Remote } from './remote/remote.ts';
import { Rows } from './elements/rows.ts';
import { Signatures } from './remote/signatures.ts';
import { type TrafficId, TrafficSets } from './local/traffic-sets.ts';

/** What the plan needs to know of its own node. */
export interface PolicyPlanNode {
  /** node.metadata.name: pods with this nodeName are local. */
  name: string;
  /** How links of pods are known: by their group (`ip link show group`), or as ports of a bridge. */
  podLinks: { group: number; bridge?: string };
  /** Pods of the whole cluster: who has an address in them and is not known yet is a pod that is not known yet. */
  podCidrs: readonly Prefix[];
}

export interface PolicyPlannerStart {
  node: PolicyPlanNode;
  /** What the kernel holds (`reconciler.observe()`), or nothing: numbers are taken from it. */
  held: NodeNetwork;
  /** For tests: one that frees sooner. */
  traffic?: TrafficSets;
}

const dnsOwner = 'policy dns';
const none: readonly never[] = [];

/**
 * Plans the elements that say who may talk to whom on one node: feed it objects in any order, take what changed, and contribute that to the
 * Reconciler. Chains and sets come from `planPolicyChains`, the epoch from `planEpoch`: they are wanted while `isActive`.
 */
export class PolicyPlanner {
  #node: PolicyPlanNode;
  readonly #cluster: Cluster;
  readonly #policies = new PolicyTable();
  readonly #atoms = new Atoms();
  readonly #signatures = new Signatures();
  readonly #traffic: TrafficSets;
  readonly #local: Local;
  readonly #remote: Remote;
  readonly #identities: Identities;
  readonly #classes: Classes;
  readonly #rows = new Rows();
  readonly #identityElements = new IdentityElements();
  readonly #localElements: LocalElements;
  #dns: readonly PolicyPod[] = [];
  #dnsText = '';
  #isFirst = true;

  constructor({ node, held, traffic = new TrafficSets() }: PolicyPlannerStart) {
    this.#node = node;
    this.#traffic = traffic;
    const judge = new Judge(traffic);
    const numbers = readHeld(held);
    this.#cluster = new Cluster(node.name);
    this.#local = new Local(this.#cluster, this.#policies, this.#atoms, traffic);
    this.#remote = new Remote(this.#cluster, this.#atoms, this.#signatures);
    this.#identities = new Identities(this.#signatures, judge, numbers);
    this.#classes = new Classes(traffic, numbers.classes);
    this.#localElements = new LocalElements(judge, traffic);
  }

  /** Pods of every node; of the host's network or ended too, which then are nobody. */
  setPod(pod: PolicyPod): void {
    this.#cluster.setPod(pod);
  }

  /** @param key as `podKey` gives it: `shop/db-0` */
  deletePod(key: string): void {
    this.#cluster.deletePod(key);
  }

  setNamespace(name: string, labels: Labels): void {
    this.#cluster.setNamespace(name, labels);
  }

  deleteNamespace(name: string): void {
    this.#cluster.setNamespace(name, undefined);
  }

  setPolicy(policy: Policy): void {
    this.#policies.set(policy);
  }

  deletePolicy(id: PolicyId): void {
    this.#policies.delete(id);
  }

  setNode(node: PolicyNode): void {
    this.#cluster.setNode(node);
  }

  deleteNode(name: string): void {
    this.#cluster.deleteNode(name);
  }

  /** Pods that stand for cluster DNS (`clusterDnsPod`): all of them, each time. */
  setClusterDns(pods: readonly PolicyPod[]): void {
    this.#dns = pods;
    this.#cluster.setClusterDns(pods);
  }

  /** @param name lower case, without a dot at the end; no addresses: it is forgotten */
  setResolved(name: string, addresses: readonly IpAddr[]): void {
    this.#cluster.setResolved(name, addresses);
  }

  /** Facts of the own node changed. */
  setPlanNode(node: PolicyPlanNode): void {
    this.#node = node;
    this.#cluster.setNodeName(node.name);
  }

  /** What of a policy has no room (`../limits`), as of the last `changes`. */
  limitProblemsOf(id: PolicyId): readonly Problem[] {
    return this.#policies.limitProblemsOf(id);
  }

  /** How many identities there are: of who is treated otherwise than anybody. */
  get identities(): number {
    return this.#identities.byNumber.size;
  }

  /** Any policy exists: chains and sets are wanted. */
  get isActive(): boolean {
    return this.#policies.size > 0;
  }

  /** Owners whose items changed since the last call, with all of their items (none: withdrawn). To be read to its end. */
  *changes(): Iterable<readonly [owner: string, items: readonly Item[]]> {
    if (this.#traffic.isFull) this.#traffic.keepOnly(this.#usedTraffic());
    const areNetsChanged = this.#update();
    const classText = (id: TrafficId): string => valueText(this.#classes.valueOf(id));
    const used = this.#plannedTraffic();
    for (const id of used) this.#classes.valueOf(id);
    for (const [number, elements] of this.#classes.sweep(used)) yield [`policy class ${number}`, elements];
    if (this.#isFirst) this.#classes.finishAdoption();
    this.#isFirst = false;
    yield* this.#identityElements.changes();
    if (areNetsChanged) yield* this.#identityElements.netChanges(this.#remote.pieces);
    yield* this.#localElements.changes(classText);
    yield* this.#rows.changes(this.#cluster.localPods, classText);
    const dns = this.#planDns();
    const text = dns.map(({ key }) => key).join();
    if (text !== this.#dnsText) yield [dnsOwner, dns];
    this.#dnsText = text;
  }

  #plannedTraffic(): Set<TrafficId> {
    return new Set([...this.#rows.used, ...this.#localElements.used()]);
  }

  /** All that is known by its number between two plans. */
  #usedTraffic(): Set<TrafficId> {
    const used = this.#plannedTraffic();
    for (const { cells } of this.#signatures) for (const cell of cells) used.add(cell);
    for (const entry of this.#policies.bySerial)
      for (const direction of directions) for (const { ports } of entry?.rules?.[direction] ?? []) used.add(ports);
    for (const slot of this.#local.groups.slots()) slot.common = new WeakMap();
    return used;
  }

  /** @returns whether identities of networks may have changed */
  #update(): boolean {
    const { dirtyLocalPods, addresses, localPods } = this.#cluster;
    const { groups, dirtySlots } = this.#local;
    this.#policies.limit();
    this.#local.update(this.#signatures);
    const isCautious = [...groups.slots()].some(({ cautious }) => cautious.size > 0);
    const podCidrs: readonly Prefix[] = isCautious ? this.#node.podCidrs : none;
    const { moved, isCut } = this.#remote.update(groups, podCidrs);
    const { renumbered, areRowsChanged } = this.#identities.update(groups, dirtySlots, this.#local.slotsChanged, this.#remote.pieces);
    const areNetsChanged = isCut || [...renumbered].some(({ pieces }) => pieces > 0);
    if (areNetsChanged) for (const entry of addresses) this.#identityElements.place(entry);
    for (const signature of renumbered) for (const entry of signature.addresses) this.#identityElements.place(entry);
    for (const entry of moved) this.#identityElements.place(entry);
    if (areRowsChanged) this.#rows.compare(this.#identities.byNumber, this.#signatures.nobody, groups);
    for (const key of dirtyLocalPods) this.#rows.dirtyPod(key);
    const areLocalsMoved = [...localPods.values()].some((pod) => pod.addresses.some((entry) => moved.has(entry)));
    if (areRowsChanged || areLocalsMoved || dirtySlots.size + dirtyLocalPods.size > 0)
      this.#localElements.compare(localPods, this.#signatures.nobody);
    this.#atoms.settled();
    this.#policies.settled();
    this.#local.settled();
    this.#cluster.settled();
    return areNetsChanged;
  }

  #planDns(): NftElement[] {
    if (!this.isActive) return [];
    return this.#dns.flatMap(({ addresses, ports }) =>
      addresses.flatMap((address) =>
        ports.map(({ protocol, number }): NftElement => {
          const key = `${address} . ${protocolNames[protocol]} . ${number}`;
          return { kind: 'nft-element', set: policySet('policy-dns', address.family), key };
        }),
      ),
    );
  }
}
