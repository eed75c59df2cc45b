import type { Labels, PodPort } from '../../world.ts';
import type { PodEntry } from './addresses.ts';
import type { Bits } from '../local/bits.ts';
import type { Group } from '../local/groups.ts';
import type { Piece } from './networks.ts';
import type { Atom } from './peers.ts';
import type { NamedPorts, Signature } from './signatures.ts';

/** Pods with the same namespace, labels and names of ports: to policies they are alike. */
export interface LabelClass {
  key: string;
  namespace: string;
  labels: Labels;
  /** Those that have names. */
  ports: readonly PodPort[];
  portsKey: string;
  pods: Set<PodEntry>;
  /** Those of them that are local. */
  local: number;
  /** Peers in use that mean them, sorted. */
  atoms: readonly Atom[];
  named: NamedPorts;
  /** Of an address of its pods that was looked at last, and the piece of a network that it is in: most are alike. */
  latest: { piece: Piece | undefined; signature: Signature } | undefined;
  /** Serials of the policies that select them, while some are local. */
  policies: Bits | undefined;
  group: Group | undefined;
}

const nameless: readonly PodPort[] = [];
export const noNames: NamedPorts = { key: '', ports: [] };

/** Names are few: what all of them were once is remembered by their text. */
const portsKeyOf = (ports: readonly PodPort[]): string =>
  ports.length === 0 ? '' : ports.map(({ name, protocol, number }) => `${name}=${protocol}/${number}`).sort().join();

export class LabelClasses {
  readonly #byKey = new Map<string, LabelClass>();

  [Symbol.iterator](): Iterator<LabelClass> {
    return this.#byKey.values();
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** @returns the class, and whether it was made for this */
  of(namespace: string, labels: Labels, ports: readonly PodPort[]): { found: LabelClass; isNew: boolean } {
    const named = ports.some(({ name }) => name !== undefined) ? ports.filter(({ name }) => name !== undefined) : nameless;
    const portsKey = portsKeyOf(named);
    const key = `${namespace} ${labelsKey(labels)} ${portsKey}`;
    const known = this.#byKey.get(key);
    if (known) return { found: known, isNew: false };
    const found: LabelClass = {
      ...{ key, namespace, labels, ports: named, portsKey },
      ...{ pods: new Set(), local: 0, atoms: [], named: noNames, latest: undefined, policies: undefined, group: undefined },
    };
    this.#byKey.set(key, found);
    return { found, isNew: true };
  }

  delete({ key }: LabelClass): void {
    this.#byKey.delete(key);
  }
}

/** In the order of their keys: labels are a map. Quotes keep values from looking like the next key. */
function labelsKey(labels: Labels): string {
  const keys = Object.keys(labels);
  if (keys.length > 1) keys.sort();
  let text = '';
  for (const key of keys) text += `${key}=${JSON.stringify(labels[key])},`;
  return text;
}
