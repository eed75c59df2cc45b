import type { Family, IpAddr } from '../net/ip.ts';
import type { VerifyInput } from './input.ts';
import { Ledger } from './ledger.ts';
import type { SourceRule } from './pairs.ts';
import { Place } from './place.ts';
import { Policies } from './policies.ts';

const podLabel = ({ namespace, name }: { namespace: string; name: string }): string => `pod ${namespace}/${name}`;

/** The places of a cluster, opened: pods of their own, nodes, the outside. Pods with hostNetwork are where their node is. */
export class World implements Disposable {
  readonly nodes = new Map<string, Place>();
  readonly pods: { place: Place; node: string; containers: number }[] = [];
  /** Pods with hostNetwork, each at its node's addresses. */
  readonly hostPods: Place[] = [];
  /** What could not be opened, and why. */
  readonly broken: { label: string; why: string }[] = [];
  outside: Place | undefined;
  readonly policies: Policies;
  readonly #ledgers = new Map<Place, Ledger>();

  private constructor({ policies }: VerifyInput) {
    this.policies = new Policies(policies);
  }

  static open(input: VerifyInput, families: readonly Family[]): World {
    const world = new World(input);
    const open = (label: string, netns: string, addresses: readonly IpAddr[]): Place | undefined => {
      try {
        return Place.open({ label, netns, addresses }, families);
      } catch (error) {
        world.broken.push({ label, why: (error as Error).message });
        return undefined;
      }
    };
    for (const { name, netns, addresses } of input.nodes) {
      const place = open(`node ${name}`, netns, addresses);
      if (place) world.nodes.set(name, place);
    }
    for (const pod of input.pods) {
      const place = open(`${podLabel(pod)}${pod.hostNetwork ? ' (hostNetwork)' : ''}`, pod.netns, pod.ips);
      if (!place) continue;
      if (pod.hostNetwork) world.hostPods.push(place);
      else world.pods.push({ place, node: pod.node, containers: pod.containers });
    }
    if (input.outside) world.outside = open('outside', input.outside.netns, input.outside.addresses);
    return world;
  }

  get all(): Place[] {
    const rest = this.outside ? [this.outside] : [];
    return [...this.nodes.values(), ...this.pods.map(({ place }) => place), ...this.hostPods, ...rest];
  }

  /** NM7: the receiver sees the sender's own address. */
  ownSource(from: Place, family: Family): SourceRule {
    const own = from.address(family)!;
    return { expected: String(own), right: (seen) => seen.equals(own), explain: (seen) => this.explain(seen) };
  }

  /** From a node: any address of it. */
  anySourceOf(place: Place): SourceRule {
    const expected = `an address of ${place.label}`;
    return { expected, right: (seen) => place.owns(seen), explain: (seen) => this.explain(seen) };
  }

  /** Pods with a network of their own on a node, with an address of the family. */
  podsOn(node: string, family: Family): Place[] {
    return this.pods.filter((pod) => pod.node === node && pod.place.address(family)).map(({ place }) => place);
  }

  /** Of a node; it knows the connections that begin after it was first asked for. */
  ledgerOf(node: Place): Ledger {
    const ledger = this.#ledgers.get(node) ?? new Ledger(node.ns);
    this.#ledgers.set(node, ledger);
    return ledger;
  }

  placeOf(address: IpAddr): Place | undefined {
    return this.all.find((place) => place.owns(address));
  }

  /** `pod default/a`, `node n1`, for people. */
  whose(address: IpAddr): string {
    const pod = this.pods.find(({ place }) => place.owns(address));
    return (pod?.place ?? this.placeOf(address))?.label ?? 'nobody whom the cluster knows';
  }

  explain(seen: IpAddr): string {
    const pod = this.pods.find(({ place }) => place.owns(seen));
    if (pod) return `that is ${pod.place.label}`;
    const owner = this.placeOf(seen);
    return owner ? `that is ${owner.label}: masqueraded` : 'nobody in the cluster has that address';
  }

  [Symbol.dispose](): void {
    for (const each of [...this.#ledgers.values(), ...this.all]) each[Symbol.dispose]();
  }
}
