import type { IpAddr } from '../../../net/ip.ts';
import { hasIdentity, type Labels, labelsOfNamespace, type PolicyNode, type PolicyPod, podKey } from '../../world.ts';
import { type AddressEntry, Addresses, isUnused, type NodeEntry, type PodEntry, withOne, withoutOne } from './addresses.ts';
import { type LabelClass, LabelClasses } from './label-classes.ts';
import type { PodTraits } from './selection-index.ts';

/** A namespace that is known, or has pods. */
export interface NamespaceEntry {
  labels: Labels;
  classes: Set<LabelClass>;
}

/** What objects of the cluster say, in the form that is planned from, and what of it changed since it was planned. */
export class Cluster {
  #nodeName: string;
  readonly classes = new LabelClasses();
  readonly addresses = new Addresses();
  readonly nodes = new Map<string, NodeEntry>();
  readonly localPods = new Map<string, PodEntry>();
  /** Addresses by names that were resolved. */
  readonly resolved = new Map<string, readonly AddressEntry[]>();
  readonly #pods = new Map<string, PodEntry>();
  readonly #namespaces = new Map<string, NamespaceEntry>();
  #dns: readonly string[] = [];

  /** Addresses of which somebody came or went. */
  readonly dirtyAddresses = new Set<AddressEntry>();
  /** Labels that namespaces had. */
  readonly dirtyNamespaces = new Map<string, Labels>();
  /** Classes that peers must be matched with. */
  readonly dirtyClasses = new Set<LabelClass>();
  /** Classes with local pods, or without them now, whose policies are to be found. */
  readonly dirtyLocals = new Set<LabelClass>();
  readonly dirtyLocalPods = new Set<string>();
  readonly dirtyNodes = new Set<NodeEntry>();

  constructor(nodeName: string) {
    this.#nodeName = nodeName;
  }

  get nodeName(): string {
    return this.#nodeName;
  }

  setPod(pod: PolicyPod): void {
    this.#setPod(podKey(pod), pod);
  }

  deletePod(key: string): void {
    const pod = this.#pods.get(key);
    if (!pod) return;
    this.#pods.delete(key);
    this.#detach(pod);
  }

  /** Each node answers for them, so they are local on every one. */
  setClusterDns(pods: readonly PolicyPod[]): void {
    const keys = pods.map((pod) => `cluster DNS ${podKey(pod)}`);
    for (const key of this.#dns) if (!keys.includes(key)) this.deletePod(key);
    for (const [i, pod] of pods.entries()) this.#setPod(keys[i]!, pod, true);
    this.#dns = keys;
  }

  /** @param given undefined: nothing is known of it */
  setNamespace(name: string, given: Labels | undefined): void {
    const namespace = this.#namespaceOf(name);
    const labels = labelsOfNamespace(name, given);
    if (sameLabels(labels, namespace.labels)) return;
    if (!this.dirtyNamespaces.has(name)) this.dirtyNamespaces.set(name, namespace.labels);
    namespace.labels = labels;
    if (given === undefined && namespace.classes.size === 0) this.#namespaces.delete(name);
  }

  setNode(node: PolicyNode): void {
    const before = this.nodes.get(node.name);
    const addresses = node.addresses.map((address) => this.addresses.of(address));
    const now: NodeEntry = { node, addresses, atoms: before?.atoms ?? [] };
    for (const entry of addresses) this.#changeAddress(entry, { nodes: withOne(entry.nodes, now) });
    this.#leaveNode(before);
    this.nodes.set(node.name, now);
    this.dirtyNodes.add(now);
  }

  deleteNode(name: string): void {
    this.#leaveNode(this.nodes.get(name));
    this.nodes.delete(name);
  }

  setResolved(name: string, given: readonly IpAddr[]): void {
    const addresses = given.map((address) => this.addresses.of(address));
    const without = ({ names }: AddressEntry): string[] => [...names].filter((one) => one !== name);
    for (const entry of addresses)
      if (!entry.names.has(name)) this.#changeAddress(entry, { names: new Set([...entry.names, name]) });
    for (const entry of this.resolved.get(name) ?? [])
      if (!addresses.includes(entry)) this.#changeAddress(entry, { names: new Set(without(entry)) });
    if (addresses.length > 0) this.resolved.set(name, addresses);
    else this.resolved.delete(name);
  }

  setNodeName(name: string): void {
    if (name === this.#nodeName) return;
    this.#nodeName = name;
    for (const { addresses } of this.nodes.values()) for (const entry of addresses) this.dirtyAddresses.add(entry);
    for (const [key, pod] of this.#pods) {
      const isLocal = pod.node === name || this.#dns.includes(key);
      if (isLocal === pod.isLocal) continue;
      const now = { ...pod, isLocal };
      this.#attach(now);
      this.#detach(pod);
      this.#pods.set(key, now);
    }
  }

  *namespaces(): Iterable<NamespaceEntry & { name: string }> {
    for (const [name, { labels, classes }] of this.#namespaces) yield { name, labels, classes };
  }

  traitsOf({ namespace, labels }: LabelClass): PodTraits {
    return { namespace, namespaceLabels: this.#namespaceOf(namespace).labels, labels };
  }

  settled(): void {
    this.dirtyNamespaces.clear();
    for (const all of [this.dirtyAddresses, this.dirtyClasses, this.dirtyLocals, this.dirtyLocalPods, this.dirtyNodes]) all.clear();
  }

  #setPod(key: string, pod: PolicyPod, isHere = false): void {
    if (!hasIdentity(pod) || pod.addresses.length === 0) {
      this.deletePod(key);
      return;
    }
    const { found, isNew } = this.classes.of(pod.namespace, pod.labels, pod.ports);
    const isLocal = isHere || pod.node === this.#nodeName;
    const before = this.#pods.get(key);
    if (before?.class === found && before.isLocal === isLocal && isSameEntry(before, pod)) return;
    if (isNew) {
      this.#namespaceOf(pod.namespace).classes.add(found);
      this.dirtyClasses.add(found);
    }
    const addresses = pod.addresses.map((address) => this.addresses.of(address));
    const now: PodEntry = { key, class: found, addresses, node: pod.node, isLocal, created: pod.created };
    this.#attach(now);
    if (before) this.#detach(before);
    this.#pods.set(key, now);
  }

  #attach(pod: PodEntry): void {
    pod.class.pods.add(pod);
    for (const entry of pod.addresses) this.#changeAddress(entry, { pods: withOne(entry.pods, pod) });
    if (!pod.isLocal) return;
    if (pod.class.local++ === 0) this.dirtyLocals.add(pod.class);
    this.localPods.set(pod.key, pod);
    this.dirtyLocalPods.add(pod.key);
  }

  #detach(pod: PodEntry): void {
    const { class: one, key } = pod;
    one.pods.delete(pod);
    for (const entry of pod.addresses) this.#changeAddress(entry, { pods: withoutOne(entry.pods, pod) });
    if (pod.isLocal) {
      if (--one.local === 0) this.dirtyLocals.add(one);
      if (this.localPods.get(key) === pod) this.localPods.delete(key);
      this.dirtyLocalPods.add(key);
    }
    if (one.pods.size > 0) return;
    this.classes.delete(one);
    this.dirtyClasses.delete(one);
    this.#namespaces.get(one.namespace)?.classes.delete(one);
  }

  #leaveNode(before: NodeEntry | undefined): void {
    for (const entry of before?.addresses ?? []) this.#changeAddress(entry, { nodes: withoutOne(entry.nodes, before!) });
    if (before) this.dirtyNodes.delete(before);
  }

  #changeAddress(entry: AddressEntry, change: Partial<AddressEntry>): void {
    // Whose pod it is may be another's now.
    for (const { isLocal, key } of change.pods ? [...entry.pods, ...change.pods] : []) if (isLocal) this.dirtyLocalPods.add(key);
    Object.assign(entry, change);
    this.dirtyAddresses.add(entry);
    if (isUnused(entry)) this.addresses.delete(entry);
  }

  #namespaceOf(name: string): NamespaceEntry {
    let found = this.#namespaces.get(name);
    if (!found) this.#namespaces.set(name, (found = { labels: labelsOfNamespace(name), classes: new Set() }));
    return found;
  }
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

const isSameEntry = (before: PodEntry, { addresses, created }: PolicyPod): boolean =>
  before.created === created &&
  before.addresses.length === addresses.length &&
  addresses.every((address, i) => before.addresses[i]!.address.equals(address));
