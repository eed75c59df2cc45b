import type { IpAddr } from '../../../net/ip.ts';
import { isNewer, type PolicyNode } from '../../world.ts';
import type { LabelClass } from './label-classes.ts';
import type { Piece } from './networks.ts';
import type { Atom } from './peers.ts';
import type { Signature } from './signatures.ts';

/** A pod of the cluster's network that has not ended and has an address. */
export interface PodEntry {
  key: string;
  class: LabelClass;
  addresses: readonly AddressEntry[];
  /** Where it runs. */
  node: string | undefined;
  isLocal: boolean;
  created: number | undefined;
}

export interface NodeEntry {
  node: PolicyNode;
  addresses: readonly AddressEntry[];
  /** `nodes` peers in use that mean it, sorted. */
  atoms: readonly Atom[];
}

/** An address that somebody known has. */
export interface AddressEntry {
  address: IpAddr;
  /** Usually one. */
  pods: readonly PodEntry[];
  nodes: readonly NodeEntry[];
  /** Names that were resolved to it. */
  names: ReadonlySet<string>;
  piece: Piece | undefined;
  signature: Signature | undefined;
  /** Identity of its element as planned last; 0: none. */
  planned: number;
}

const nobody: readonly never[] = [];
const noNames: ReadonlySet<string> = new Set();

/** All of them, by canonical text. */
export class Addresses {
  readonly #byText = new Map<string, AddressEntry>();

  [Symbol.iterator](): Iterator<AddressEntry> {
    return this.#byText.values();
  }

  get size(): number {
    return this.#byText.size;
  }

  at(address: IpAddr): AddressEntry | undefined {
    return this.#byText.get(String(address));
  }

  of(address: IpAddr): AddressEntry {
    const text = String(address);
    let entry = this.#byText.get(text);
    if (!entry) {
      entry = { address, pods: nobody, nodes: nobody, names: noNames, piece: undefined, signature: undefined, planned: 0 };
      this.#byText.set(text, entry);
    }
    return entry;
  }

  delete({ address }: AddressEntry): void {
    this.#byText.delete(String(address));
  }
}

export const isUnused = ({ pods, nodes, names }: AddressEntry): boolean => pods.length + nodes.length + names.size === 0;

/** Whose address it is: a local pod's before others (it is here that it is used), then the newest one's, then the first by name, as `makeWorld` has it. */
export function podAt({ pods }: AddressEntry): PodEntry | undefined {
  let first = pods[0];
  for (const pod of pods) if (comesBefore(pod, first!)) first = pod;
  return first;
}

function comesBefore(a: PodEntry, b: PodEntry): boolean {
  if (a.isLocal !== b.isLocal) return a.isLocal;
  return a.created === b.created ? a.key < b.key : isNewer(a, b);
}

export function nodeAt({ nodes }: AddressEntry): NodeEntry | undefined {
  let first = nodes[0];
  for (const one of nodes) if (one.node.name < first!.node.name) first = one;
  return first;
}

export const withOne = <T>(all: readonly T[], one: T): readonly T[] => (all.includes(one) ? all : [...all, one]);
export const withoutOne = <T>(all: readonly T[], one: T): readonly T[] =>
  all.length === 1 && all[0] === one ? nobody : all.filter((other) => other !== one);
