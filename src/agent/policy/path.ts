import type { PodIdentity } from '../../cni/request.ts';
import type { Lease } from '../../ipam/index.ts';
import type { Change } from '../../kube/informer.ts';
import type { IpAddr } from '../../net/ip.ts';
import type { Policy } from '../../policy/model.ts';
import { makeWorld, podKey, type World } from '../../policy/world.ts';
import type { Operation } from '../../reconcile/operations.ts';
import type { PodView } from '../watch/pod-view.ts';
import { PolicyAdmission } from './admission.ts';
import { isDefault, notIsolated, podOwner } from './faults.ts';
import { PolicyFeed } from './feed.ts';
import { KeptTraits } from './kept-traits.ts';
import { kindItems, policyKindsOwner } from './layout.ts';
import { PolicyNames } from './names.ts';
import type { Contribution, PolicyPathParts } from './parts.ts';
import { PolicyPods } from './pods.ts';
import { type PolicyStatus, policyStatus, problemsOf } from './report.ts';
import { PolicyWrites, unmarkedText } from './writes.ts';

const unplanned = (why: string): string => `network policies cannot be planned any more, what was planned before stands: ${why}`;
const closedText = 'the kernel refuses a part of what isolates it, and so it has less than policies allow';

/**
 * Policies on this node: plans what changed, contributes it, and begins an epoch each time the kernel holds other elements. While there are no policies there is
 * no planner, and nothing here costs anything.
 *
 *     policies ──first──► pods and namespaces are watched ──whole──► PolicyFeed ──changes──► PolicyWrites ──► Reconciler ──written──► new epoch
 */
export class PolicyPath implements Disposable {
  readonly #parts: PolicyPathParts;
  readonly #pods: PolicyPods;
  readonly #kept: KeptTraits;
  readonly #writes: PolicyWrites;
  readonly #admission: PolicyAdmission;
  readonly #names: PolicyNames;
  #active = false;
  #ended = false;
  #feed: PolicyFeed | undefined;
  #planning: Promise<void> | undefined;
  /** Ends of what the feed hears. */
  #hearing: readonly (() => void)[] = [];
  /** Several are fed before anything is planned. */
  #feeding = false;
  /** Of planning that failed as a whole. */
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: PolicyPathParts) {
    this.#parts = parts;
    const { nodeName, api, sources, ipam, dnsHealthSocket } = parts;
    this.#names = new PolicyNames(dnsHealthSocket, (name, addresses) => this.#setResolved(name, addresses));
    this.#pods = new PolicyPods(nodeName, ipam);
    this.#kept = new KeptTraits({ ipam, log: (line) => parts.log(`policies: ${line}`) });
    this.#writes = new PolicyWrites(parts);
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
    this.#names.want(this.#policies());
    await this.#names.settled();
    return !this.#ended;
  }

  /** Contributes from here on. What the kernel holds from before a restart, read by `reconciler.observe` before, is taken over. */
  begin(): void {
    const { policy, nodes, services } = this.#parts.sources;
    this.#active = policy.count > 0;
    if (!this.#active) this.#kept.forgetAll();
    this.#noteKinds();
    if (this.#active && policy.world) this.#plan();
    const present = this.#feed;
    // All that is there now is in the plan already.
    const later =
      <T>(hear: (feed: PolicyFeed, changes: readonly Change<T>[]) => void) =>
      (changes: readonly Change<T>[]): void => {
        if (!this.#feed || this.#feeding) return;
        hear(this.#feed, changes);
        this.#contribute();
      };
    this.#tellProblems(this.#policies());
    this.#feeding = true;
    for (const informer of policy.policies) informer.onChange((changes) => this.#hearPolicies(changes));
    nodes.onChange(later((feed, changes) => feed.setNodes(changes)));
    services.onChange(later((feed, changes) => feed.setServices(changes)));
    this.#feeding = false;
    if (this.#active && !present) this.#learn();
  }

  /** @throws CniError 11 when it cannot be told what isolates the pod */
  admit(pod: PodIdentity): Promise<PodView | undefined> {
    return this.#admission.admit(pod, this.#feed ? undefined : this.#learn());
  }

  /**
   * What is to be in the kernel before a pod's first packet (NP15). Its lease is there.
   * @param view what `admit` gave
   * @throws CniError 11 when policies select the pod, and the kernel refuses what they need
   */
  attached(view: PodView): Contribution[] {
    const feed = this.#feed;
    if (!feed) return [];
    // What its rows lead to.
    this.#writes.settle();
    // What the watch has told may not have been planned yet.
    const namespace = this.#parts.sources.policy.world?.namespaces.get(view.namespace);
    if (namespace) feed.planner.setNamespace(view.namespace, namespace);
    // Its labels may have changed while ADD waited for its namespace.
    const told = this.#parts.sources.policy.world?.pods.get(podKey(view));
    const latest = told && told.uid === view.uid && told.node === view.node ? told : view;
    const here = latest.with({ node: this.#parts.nodeName, ended: false });
    // Of the watch the pod that had its name before may be still to come.
    const key = podKey(here);
    feed.setPod(key, here);
    const contributions = this.#writes.take(feed.planner);
    const { broken } = feed.planner;
    if (broken !== undefined) throw notIsolated(unplanned(broken));
    if (this.#parts.faults.failing.size === 0) return contributions;
    const own = contributions.find(([owner]) => owner === podOwner(key))?.[1] ?? [...this.#parts.reconciler.itemsOf(podOwner(key))];
    if (!own.some(isDefault)) return contributions;
    this.#prove(key, contributions);
    return [];
  }

  /** What is to be in the kernel before the addresses of a lease are free (NP20). */
  detached(lease: Lease): Contribution[] {
    const feed = this.#feed;
    const key = lease.notes.pod;
    if (!feed || !key) return [];
    feed.setPod(key, this.#parts.sources.policy.world?.pods.get(key), lease);
    return this.#writes.take(feed.planner);
  }

  /** To be called when links or addresses of the node changed. */
  setOwnAddresses(): void {
    const own = this.#parts.sources.nodes.get(this.#parts.nodeName);
    if (!this.#feed || !own) return;
    this.#feed.planner.setNode(this.#feed.peerOf(own));
    this.#contribute();
  }

  /** To be called when the kernel was written to: what it did. */
  written(operations: readonly Operation[]): void {
    this.#writes.written(this.#feed?.planner.isActive ?? false, operations);
  }

  /** What keeps the kernel from judging as it should. */
  get problems(): string[] {
    const { policy } = this.#parts.sources;
    const missing = this.#active && !this.#feed ? policy.informers.flatMap(({ error }) => error?.message ?? []) : [];
    return [
      ...missing.map((error) => `policies are not in force yet, and no pod can be attached: ${error}`),
      ...(this.unfit === undefined ? [] : [this.unfit]),
      ...(this.#feed?.planner.problems ?? []),
      ...Array.from(this.#writes.closed, (key) => `pod ${key}: ${closedText}`),
      ...(this.#feed && this.#writes.isUnmarked ? [unmarkedText] : []),
      ...(this.#writes.problem === undefined ? [] : [this.#writes.problem]),
      ...(this.#feed?.unknown ?? []).map(
        (key) =>
          `pod ${key} has an address here, and what isolates it cannot be told: it is not in the API, and its lease does not tell its labels; it can neither send nor receive until it is deleted`,
      ),
    ];
  }

  /** Why the node should get no more pods; those that no policy selects can be attached. */
  get unfit(): string | undefined {
    const broken = this.#feed?.planner.broken;
    if (broken !== undefined) return `${unplanned(broken)}; no pod can be attached`;
    const why = this.#active ? this.#parts.faults.foundation : undefined;
    return why && `the kernel refuses what network policies need, no pod that they select can be attached: ${why}`;
  }

  status(): PolicyStatus {
    const { epoch } = this.#writes;
    const isEnforced = this.#feed && this.#parts.faults.foundation === undefined;
    return policyStatus({
      policies: this.#policies(),
      owners: this.#parts.reconciler.statuses().keys(),
      itemsOf: (owner) => this.#parts.reconciler.itemsOf(owner),
      identities: this.#feed?.planner.identities ?? 0,
      limitProblemsOf: (policy) => this.#feed?.planner.limitProblemsOf(policy) ?? [],
      ...(isEnforced && epoch !== undefined ? { epoch } : {}),
    });
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#names[Symbol.dispose]();
    this.#kept[Symbol.dispose]();
  }

  /** The kernel refuses something: whether it is this pod's, and opens it, shows when the kernel was written to. @throws CniError 11 */
  #prove(key: string, contributions: readonly Contribution[]): void {
    const { faults, reconciler, sync } = this.#parts;
    for (const [owner, items] of contributions) reconciler.contribute(owner, items);
    sync();
    const why = faults.foundation ?? faults.of(key) ?? (this.#writes.closed.has(key) ? [...faults.failing.values()].join('; ') : undefined);
    if (why !== undefined) throw notIsolated(why);
  }

  #policies(): Policy[] {
    return this.#parts.sources.policy.policies.flatMap((informer) => informer.list());
  }

  #hearPolicies(changes: readonly Change<Policy>[]): void {
    if (this.#feeding) return;
    this.#active = this.#parts.sources.policy.count > 0;
    this.#noteKinds();
    this.#tellProblems(changes.flatMap(({ type, object }) => (type === 'deleted' ? [] : object)));
    if (this.#feed) {
      this.#feed.setPolicies(changes);
      this.#contribute();
      this.#names.want(this.#policies());
    }
    if (!this.#active) this.#rest();
    else if (!this.#feed) void this.#learn();
  }

  /** Fulfilled when there is a plan. */
  #learn(): Promise<void> {
    if (this.#planning) return this.#planning;
    const planning = this.#parts.sources.policy.openWorld().then(() => {
      if (this.#planning === planning) this.#planning = undefined;
      if (this.#active && !this.#feed && !this.#ended) this.#plan();
    });
    this.#planning = planning;
    return planning;
  }

  /** Everything is known: from here on the planner hears of what changes. */
  #plan(): void {
    const { reconciler, sources } = this.#parts;
    const held = reconciler.actual();
    this.#writes.begin(held);
    const onBroken = (retryMs: number): void => {
      clearTimeout(this.#retry);
      if (this.#ended) return;
      const again = (): void => {
        this.#contribute();
        // Whether pods can be attached is judged behind a sync.
        this.#parts.wake();
      };
      // Some milliseconds more: timers may be early.
      this.#retry = setTimeout(again, retryMs + 10).unref();
    };
    const feed = new PolicyFeed({ ...this.#parts, pods: this.#pods, kept: this.#kept, held, onBroken });
    this.#feed = feed;
    const { pods, namespaces } = sources.policy.world!;
    const heard =
      <T>(hear: (changes: readonly Change<T>[]) => void) =>
      (changes: readonly Change<T>[]): void => {
        hear(changes);
        this.#contribute();
      };
    this.#feeding = true;
    this.#hearing = [
      namespaces.onChange(heard((changes) => feed.setNamespaces(changes))),
      pods.onChange(heard((changes) => feed.setPods(changes))),
    ];
    for (const key of this.#pods.keys()) if (!pods.get(key)) feed.setPod(key, undefined);
    feed.setServices();
    for (const policy of this.#policies()) feed.planner.setPolicy(policy);
    for (const [name, addresses] of this.#names.all() ?? []) feed.planner.setResolved(name, addresses);
    this.#feeding = false;
    this.#contribute();
    this.#parts.denials.begin({ pods }, () => this.#world(feed));
    this.#names.want(this.#policies());
  }

  /** What verdicts depend on. */
  #world(feed: PolicyFeed): World {
    const { sources } = this.#parts;
    const { pods = undefined, namespaces = undefined } = sources.policy.world ?? {};
    const resolved = this.#names.all();
    return makeWorld({
      pods: [...(pods?.list() ?? []), ...feed.dns],
      nodes: sources.nodes.list().map((node) => feed.peerOf(node)),
      namespaces: new Map(namespaces?.list().map((labels) => [labels['kubernetes.io/metadata.name']!, labels])),
      policies: this.#policies(),
      ...(resolved ? { resolved } : {}),
    });
  }

  /** An address whose time is over is for no new connection, and those that are there stay (CNP11). */
  #setResolved(name: string, addresses: readonly IpAddr[]): void {
    const planner = this.#feed?.planner;
    if (!planner || this.#ended) return;
    this.#writes.writeForNew(planner, `addresses of ${name}`, () => planner.setResolved(name, addresses));
  }

  /** There is no policy any more, and nothing of them is contributed. */
  #rest(): void {
    for (const end of this.#hearing) end();
    this.#hearing = [];
    clearTimeout(this.#retry);
    this.#feed = undefined;
    this.#kept.forgetAll();
    this.#names.want([]);
    // What it waits for may end before it is whole.
    this.#planning = undefined;
    this.#parts.denials.end();
    this.#parts.sources.policy.closeWorld();
  }

  #contribute(): void {
    if (this.#feed && !this.#feeding) this.#writes.contribute(this.#feed.planner);
  }

  /** For the next start. */
  #noteKinds(): void {
    const { sources, reconciler } = this.#parts;
    const kinds = sources.policy.policies.filter(({ size }) => size > 0).map(({ resource }) => resource.plural);
    reconciler.contribute(policyKindsOwner, kindItems(kinds));
  }

  /** NP19. */
  #tellProblems(policies: readonly Policy[]): void {
    for (const problem of problemsOf(policies)) this.#parts.log(`policies: ${problem}`);
  }
}
