import type { PodIdentity } from '../cni/request.ts';
import type { Ipam, Lease } from '../ipam/index.ts';
import type { Conntrack } from '../kernel/conntrack.ts';
import type { Api } from '../kube/api.ts';
import type { Change } from '../kube/informer.ts';
import type { Service } from '../kube/types.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import { clusterDnsPod, usualClusterDns } from '../policy/cluster-dns.ts';
import { domainNamesOf } from '../policy/domains.ts';
import type { Policy } from '../policy/model.ts';
import { type PolicyPlanNode, PolicyPlanner, planPolicyChains } from '../policy/plan/index.ts';
import { type Labels, makeWorld, type PolicyNode, type PolicyPod, podKey, type World } from '../policy/world.ts';
import type { Item, Reconciler } from '../reconcile/index.ts';
import type { Operation } from '../reconcile/operations.ts';
import type { Denials } from './denials.ts';
import { PodView, samePod } from './pod-view.ts';
import { PolicyAdmission } from './policy-admission.ts';
import { PolicyEpoch } from './policy-epoch.ts';
import { concernsPolicies, PolicyLayout } from './policy-layout.ts';
import { PolicyPods } from './policy-pods.ts';
import { type PolicyStatus, policyStatus, problemsOf } from './policy-report.ts';
import { ResolvedNames } from './resolved-names.ts';
import type { Sources } from './sources.ts';
import { type NodeView, sameAsPeer, sameNode } from './views.ts';

/** The name that a pod is planned by whose name is not, or not any more, its own; no Pod can be called so. */
const formerKey = (key: string): string => `${key} formerly`;
const formerPod = (pod: PolicyPod): PolicyPod =>
  pod instanceof PodView ? pod.with({ name: formerKey(pod.name) }) : { ...pod, name: formerKey(pod.name) };

/** Owner of the two chains that a new epoch replaces. */
export const policyEpochOwner = 'policy epoch';

export type Contribution = readonly [owner: string, items: readonly Item[]];

export interface PolicyPathParts {
  nodeName: string;
  podLinks: PolicyPlanNode['podLinks'];
  /** Pod CIDRs of the cluster, beside those of Nodes. */
  clusterCidrs: readonly Prefix[];
  /** Bits of the conntrack mark. */
  mask: number;
  /** What this node's own DNS answers on; none where it has none. */
  clusterDns: readonly IpAddr[];
  /** Of that DNS, which tells of the addresses of domain names (CNP11). */
  dnsHealthSocket: string | undefined;
  api: Api;
  reconciler: Reconciler;
  conntrack: Conntrack;
  /** In sync; heard from `begin` on. */
  sources: Sources;
  ipam: Ipam;
  /** Addresses on the node's links: what goes to them is for the node, whether they stand in its Node or not. */
  ownAddresses: () => readonly IpAddr[];
  /** Told while policies are in force. */
  denials: Pick<Denials, 'begin' | 'end'>;
  /** Has the reconciler write, soon and now. */
  wake: () => void;
  sync: () => void;
  log: (line: string) => void;
}

/**
 * Policies on this node: plans what changed, contributes it, and begins an epoch each time the kernel holds other elements. While there are no policies there is
 * no planner, and nothing here costs anything.
 *
 *     policies ──first──► pods and namespaces are watched ──whole──► planner ──changes──► Reconciler ──written──► new epoch
 */
export class PolicyPath implements Disposable {
  readonly #parts: PolicyPathParts;
  readonly #pods: PolicyPods;
  readonly #layout: PolicyLayout;
  readonly #admission: PolicyAdmission;
  readonly #names: ResolvedNames | undefined;
  #active = false;
  #ended = false;
  #planner: PolicyPlanner | undefined;
  #planning: Promise<void> | undefined;
  /** Ends of what the planner hears. */
  #hearing: readonly (() => void)[] = [];
  #epoch: PolicyEpoch | undefined;
  /** What was known last of pods of this node: who was deleted by force may run on until DEL, also when a pod of its name is elsewhere by now. */
  readonly #latest = new Map<string, PodView>();
  /** Several are fed before anything is planned. */
  #feeding = false;
  /** Something was contributed that the kernel may not hold yet. */
  #pending = false;
  #epochDue = false;
  /** What is being written are addresses of domain names: connections that are there stay as they were judged. */
  #writingNames = false;
  #problem: string | undefined;
  #podCidrs: readonly Prefix[] = [];
  #dns: readonly PolicyPod[] = [];

  constructor(parts: PolicyPathParts) {
    this.#parts = parts;
    const { nodeName, api, sources, ipam, podLinks, dnsHealthSocket: socketPath } = parts;
    const onChange = (name: string, addresses: readonly IpAddr[]): void => this.#setResolved(name, addresses);
    this.#names = socketPath === undefined ? undefined : new ResolvedNames({ socketPath, onChange });
    this.#pods = new PolicyPods(nodeName, ipam);
    this.#layout = new PolicyLayout(planPolicyChains({ podLinks }));
    this.#admission = new PolicyAdmission({
      ...{ api, nodeName, known: (key) => sources.policy.world?.pods.get(key) },
      // Where nothing is watched any more, nothing isolates.
      knowsNamespace: (name) => sources.policy.world?.namespaces.get(name) !== undefined || sources.policy.world === undefined,
    });
  }

  /** There are policies: pods are attached with their isolation. */
  get isActive(): boolean {
    return this.#active;
  }

  /** Before `begin`, so that what was allowed before a restart by names is not taken away first. @returns soon; false when all has ended meanwhile */
  async learnNames(): Promise<boolean> {
    this.#wantNames();
    await this.#names?.settled;
    return !this.#ended;
  }

  /** Contributes from here on. What the kernel holds from before a restart, read by `reconciler.observe` before, is taken over. */
  begin(): void {
    const { policy, nodes, services } = this.#parts.sources;
    this.#active = policy.count > 0;
    if (this.#active && policy.world) this.#plan();
    const present = this.#planner;
    // All that is there now is in the plan already.
    const later =
      <T>(hear: (planner: PolicyPlanner, changes: readonly Change<T>[]) => void) =>
      (changes: readonly Change<T>[]): void => {
        if (!this.#planner || this.#feeding) return;
        hear(this.#planner, changes);
        this.#contribute();
      };
    this.#tellProblems(policy.policies.flatMap((informer) => informer.list()));
    this.#feeding = true;
    for (const informer of policy.policies) informer.onChange((changes) => this.#hearPolicies(changes));
    nodes.onChange(later((planner, changes) => this.#setNodes(planner, changes)));
    services.onChange(later((planner, changes) => this.#setServices(planner, changes)));
    this.#feeding = false;
    if (this.#active && !present) this.#learn();
  }

  /** @throws CniError 11 when it cannot be told what isolates the pod */
  admit(pod: PodIdentity): Promise<PodView | undefined> {
    return this.#admission.admit(pod, this.#planner ? undefined : this.#learn());
  }

  /**
   * What is to be in the kernel before a pod's first packet (NP15). Its lease is there.
   * @param view what `admit` gave
   */
  attached(view: PodView): Contribution[] {
    const planner = this.#planner;
    if (!planner) return [];
    // What its rows lead to.
    if (this.#pending) this.#parts.sync();
    // What the watch has told may not have been planned yet.
    const namespace = this.#parts.sources.policy.world?.namespaces.get(view.namespace);
    if (namespace) planner.setNamespace(view.namespace, namespace);
    const here = view.with({ node: this.#parts.nodeName, ended: false });
    // Of the watch the pod that had its name before may be still to come.
    this.#setPod(planner, podKey(here), here);
    return this.#changed(planner);
  }

  /** What is to be in the kernel before the addresses of a lease are free (NP20). */
  detached(lease: Lease): Contribution[] {
    const planner = this.#planner;
    const key = lease.notes.pod;
    if (!planner || !key) return [];
    this.#setPod(planner, key, this.#parts.sources.policy.world?.pods.get(key), lease);
    return this.#changed(planner);
  }

  /** To be called when links or addresses of the node changed. */
  setOwnAddresses(): void {
    const own = this.#parts.sources.nodes.get(this.#parts.nodeName);
    if (!this.#planner || !own) return;
    this.#planner.setNode(this.#peerOf(own));
    this.#contribute();
  }

  /** To be called when the kernel was written to: what it did. */
  written(operations: readonly Operation[]): void {
    this.#pending = false;
    if (!this.#planner?.isActive) {
      this.#epochDue = false;
      return;
    }
    // Elements are complete now: from here on connections are judged by them.
    const rest = this.#layout.complete();
    if (rest) this.#writeNow(rest);
    if (this.#epochDue || (!this.#writingNames && operations.some(concernsPolicies))) this.#beginEpoch();
  }

  /** What keeps the kernel from judging as it should. */
  get problems(): string[] {
    const { policy } = this.#parts.sources;
    const missing = this.#active && !this.#planner ? policy.informers.flatMap(({ error }) => error?.message ?? []) : [];
    return [
      ...missing.map((error) => `policies are not in force yet, and no pod can be attached: ${error}`),
      ...(this.#problem === undefined ? [] : [this.#problem]),
    ];
  }

  status(): PolicyStatus {
    const { sources, reconciler } = this.#parts;
    return policyStatus({
      policies: sources.policy.policies.flatMap((informer) => informer.list()),
      owners: reconciler.statuses().keys(),
      identities: this.#planner?.identities ?? 0,
      ...(this.#planner && this.#epoch ? { epoch: this.#epoch.present } : {}),
    });
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#names?.[Symbol.dispose]();
  }

  #hearPolicies(changes: readonly Change<Policy>[]): void {
    if (this.#feeding) return;
    const { policy } = this.#parts.sources;
    this.#active = policy.count > 0;
    this.#tellProblems(changes.flatMap(({ type, object }) => (type === 'deleted' ? [] : object)));
    if (this.#planner) {
      for (const { type, object } of changes) {
        if (type === 'deleted') this.#planner.deletePolicy(object);
        else this.#planner.setPolicy(object);
      }
      this.#contribute();
      this.#wantNames();
    }
    if (!this.#active) this.#rest();
    else if (!this.#planner) void this.#learn();
  }

  /** Fulfilled when there is a planner. */
  #learn(): Promise<void> {
    if (this.#planning) return this.#planning;
    const planning = this.#parts.sources.policy.openWorld().then(() => {
      if (this.#planning === planning) this.#planning = undefined;
      if (this.#active && !this.#planner && !this.#ended) this.#plan();
    });
    this.#planning = planning;
    return planning;
  }

  /** Everything is known: from here on the planner hears of what changes. */
  #plan(): void {
    const { nodeName, podLinks, reconciler, mask, conntrack, sources } = this.#parts;
    const held = reconciler.actual();
    this.#epoch ??= new PolicyEpoch(mask, conntrack, held);
    this.#podCidrs = this.#allPodCidrs();
    const planner = new PolicyPlanner({ node: { name: nodeName, podLinks, podCidrs: this.#podCidrs }, held });
    this.#planner = planner;
    const { pods, namespaces } = sources.policy.world!;
    this.#feeding = true;
    for (const node of sources.nodes.list()) planner.setNode(this.#peerOf(node));
    this.#hearing = [
      namespaces.onChange((changes) => this.#setNamespaces(planner, changes)),
      pods.onChange((changes) => this.#setPods(planner, changes)),
    ];
    for (const key of this.#pods.keys()) if (!pods.get(key)) this.#setPod(planner, key, undefined);
    this.#setServices(planner, []);
    for (const informer of sources.policy.policies) for (const policy of informer.list()) planner.setPolicy(policy);
    for (const [name, addresses] of this.#names?.all() ?? []) planner.setResolved(name, addresses);
    this.#feeding = false;
    this.#contribute();
    this.#parts.denials.begin({ pods }, () => this.#world());
    this.#wantNames();
  }

  /** What verdicts depend on. */
  #world(): World {
    const { sources } = this.#parts;
    const { pods = undefined, namespaces = undefined } = sources.policy.world ?? {};
    return makeWorld({
      pods: [...(pods?.list() ?? []), ...this.#dns],
      nodes: sources.nodes.list().map((node) => this.#peerOf(node)),
      namespaces: new Map(namespaces?.list().map((labels) => [labels['kubernetes.io/metadata.name']!, labels])),
      policies: sources.policy.policies.flatMap((informer) => informer.list()),
      ...(this.#names ? { resolved: this.#names.all() } : {}),
    });
  }

  #wantNames(): void {
    this.#names?.want(this.#parts.sources.policy.policies.flatMap((informer) => informer.list().flatMap(domainNamesOf)));
  }

  /** In the kernel when this returns: the pod that asked is given its answer then. An address whose time is over is for no new connection, and those that are there stay (CNP11). */
  #setResolved(name: string, addresses: readonly IpAddr[]): void {
    const planner = this.#planner;
    if (!planner || this.#ended) return;
    try {
      // With an epoch of its own, where it needs one.
      if (this.#pending) this.#parts.sync();
      planner.setResolved(name, addresses);
      const due = this.#epochDue;
      this.#contribute();
      this.#epochDue = due;
      this.#writingNames = true;
      if (this.#pending) this.#parts.sync();
    } catch (error) {
      this.#tell(`addresses of ${name}: ${(error as Error).message}`);
    } finally {
      this.#writingNames = false;
    }
  }

  /** There is no policy any more, and nothing of them is contributed. */
  #rest(): void {
    for (const end of this.#hearing) end();
    this.#hearing = [];
    this.#latest.clear();
    this.#planner = undefined;
    this.#names?.want([]);
    // What it waits for may end before it is whole.
    this.#planning = undefined;
    this.#parts.denials.end();
    this.#parts.sources.policy.closeWorld();
  }

  #setNamespaces(planner: PolicyPlanner, changes: readonly Change<Labels>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') planner.deleteNamespace(key);
      else planner.setNamespace(key, object);
    }
    this.#contribute();
  }

  #setPods(planner: PolicyPlanner, changes: readonly Change<PodView>[]): void {
    for (const { type, key, object, previous } of changes) {
      if (type === 'modified' && previous && samePod(previous, object)) continue;
      this.#setPod(planner, key, type === 'deleted' ? undefined : object);
    }
    this.#contribute();
  }

  /** @param but a lease that counts no more */
  #setPod(planner: PolicyPlanner, key: string, view: PodView | undefined, but?: Lease): void {
    const isHere = view !== undefined && this.#pods.isLocal(view);
    if (isHere) this.#latest.set(key, view);
    // The name may be another pod's, of another node or of the host's network: both are pods then.
    const former = isHere ? undefined : this.#pods.unknown(key, this.#latest.get(key), but);
    if (!isHere && !former) this.#latest.delete(key);
    if (view) planner.setPod(this.#pods.planned(view, but));
    else planner.deletePod(key);
    if (former) planner.setPod(formerPod(former));
    else planner.deletePod(formerKey(key));
  }

  #setNodes(planner: PolicyPlanner, changes: readonly Change<NodeView>[]): void {
    const { nodeName, podLinks } = this.#parts;
    let moved = false;
    for (const { type, key, object, previous } of changes) {
      moved ||= !previous || type === 'deleted' || !sameNode(previous, object);
      if (type === 'deleted') planner.deleteNode(key);
      else if (!previous || !sameAsPeer(previous, object)) planner.setNode(this.#peerOf(object));
    }
    const podCidrs = moved ? this.#allPodCidrs() : this.#podCidrs;
    if (podCidrs.join() === this.#podCidrs.join()) return;
    this.#podCidrs = podCidrs;
    planner.setPlanNode({ name: nodeName, podLinks, podCidrs });
  }

  /** The address of cluster DNS is this node's own DNS: no pod has it, and its Service has no endpoints that policies could be asked of. */
  #setServices(planner: PolicyPlanner, changes: readonly Change<Service>[]): void {
    const { clusterDns, sources } = this.#parts;
    if (clusterDns.length === 0) return;
    const isIt = ({ spec }: Service): boolean =>
      clusterDns.some((address) => (spec?.clusterIPs ?? [spec?.clusterIP]).includes(String(address)));
    if (!this.#feeding && !changes.some(({ object, previous }) => isIt(object) || (previous && isIt(previous)))) return;
    const services = sources.services.list().filter(isIt);
    const usual: Service = { ...usualClusterDns, spec: { ...usualClusterDns.spec, clusterIPs: clusterDns.map(String) } };
    this.#dns = (services.length > 0 ? services : [usual]).map(clusterDnsPod);
    planner.setClusterDns(this.#dns);
  }

  /** Of this node all addresses are the node's, but those of cluster DNS. */
  #peerOf({ name, asPeer }: NodeView): PolicyNode {
    const { nodeName, ownAddresses, clusterDns } = this.#parts;
    if (name !== nodeName) return asPeer;
    const all = new Map([...asPeer.addresses, ...ownAddresses()].map((address) => [String(address), address]));
    for (const address of clusterDns) all.delete(String(address));
    return { ...asPeer, addresses: [...all.values()] };
  }

  #allPodCidrs(): readonly Prefix[] {
    const { clusterCidrs, sources } = this.#parts;
    const others = sources.nodes
      .list()
      .flatMap(({ podCidrs }) => podCidrs)
      .filter((cidr) => !clusterCidrs.some((whole) => whole.contains(cidr)));
    return [...clusterCidrs, ...new Map(others.map((cidr) => [String(cidr), cidr])).values()];
  }

  #contribute(): void {
    if (!this.#planner || this.#feeding) return;
    for (const [owner, items] of this.#changes(this.#planner)) {
      this.#parts.reconciler.contribute(owner, items);
      this.#pending = true;
    }
  }

  /** For who writes it now. */
  #changed(planner: PolicyPlanner): Contribution[] {
    const changes = [...this.#changes(planner)];
    if (changes.length > 0) this.#parts.wake();
    return changes;
  }

  *#changes(planner: PolicyPlanner): Iterable<Contribution> {
    const layout = this.#layout.set(planner.isActive, this.#parts.reconciler.actual());
    if (layout) {
      yield layout;
      yield [policyEpochOwner, planner.isActive ? this.#epoch!.items() : []];
    }
    for (const change of planner.changes()) {
      this.#epochDue = true;
      yield change;
    }
  }

  #beginEpoch(): void {
    this.#epochDue = true;
    try {
      this.#epoch!.begin();
      this.#problem = undefined;
    } catch (error) {
      this.#tell((error as Error).message);
      return;
    }
    this.#epochDue = !this.#writeNow([policyEpochOwner, this.#epoch!.items()]);
  }

  /** @returns whether the kernel took it; else the next sync tries again */
  #writeNow([owner, items]: Contribution): boolean {
    try {
      this.#parts.reconciler.contributeNow(owner, items);
      return true;
    } catch (error) {
      this.#tell((error as Error).message);
      return false;
    }
  }

  /** NP19. */
  #tellProblems(policies: readonly Policy[]): void {
    for (const problem of problemsOf(policies)) this.#parts.log(`policies: ${problem}`);
  }

  #tell(problem: string): void {
    if (problem !== this.#problem) this.#parts.log(`policies: ${problem}`);
    this.#problem = problem;
  }
}
