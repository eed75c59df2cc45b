import { shortKey } from '../../short-key.ts';
import type { PodPort } from '../../world.ts';
import type { AddressEntry } from './addresses.ts';
import type { Atom } from './peers.ts';
import type { Region } from './regions.ts';

/** Of the pod at an address: its ports by those names that egress rules in use name. */
export interface NamedPorts {
  key: string;
  ports: readonly PodPort[];
}

/** What rules in use can tell of a remote address. */
export interface Traits {
  /** Other peers than networks. Sorted by id, each once. */
  atoms: readonly Atom[];
  /** Networks, one for each scope and sorted by it. */
  regions: readonly Region[];
  /** undefined where no pod is. */
  named: NamedPorts | undefined;
  /** An address of this node. */
  isOwnNode: boolean;
  /** In a pod CIDR, and no pod is known there. */
  isUnknown: boolean;
}

/** All remote addresses that rules in use cannot tell apart. */
export interface Signature extends Traits {
  key: string;
  addresses: Set<AddressEntry>;
  /** Pieces of networks that are so. */
  pieces: number;
  /** What may pass, by slot; 0 in slots that are free. */
  cells: Int32Array;
  /** Of the cells. */
  hash: number;
  /** Those that are treated alike, as planned last. */
  alike: Alike | undefined;
  /** No address is so any more, and it is forgotten. */
  isGone: boolean;
}

/** Signatures that no local pod's policies treat differently: an identity. */
export interface Alike {
  /** 0: nobody special. */
  number: number;
  hash: number;
  members: Set<Signature>;
}

export const identityOf = (signature: Signature | undefined): number => signature?.alike?.number ?? 0;

/** What a cell adds to the hash; nothing of a free slot. */
const mixed = (slot: number, cell: number): number => Math.imul(Math.imul(slot + 1, 0x9e3779b1) ^ (slot + 0x7f4a7c15), cell);

export function setCell(signature: Signature, slot: number, cell: number): boolean {
  const { cells } = signature;
  const before = cells[slot]!;
  if (before === cell) return false;
  signature.hash = (signature.hash - mixed(slot, before) + mixed(slot, cell)) | 0;
  cells[slot] = cell;
  return true;
}

export function sameCells({ cells: a }: Signature, { cells: b }: Signature): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Every signature that some address has. */
export class Signatures {
  readonly #byKey = new Map<string, Signature>();
  readonly fresh = new Set<Signature>();
  /** Those that rules may mean without naming them: the own node, and who is not known. */
  readonly special = new Set<Signature>();
  readonly #maybeGone = new Set<Signature>();
  #width = 16;
  /** Of an address that no rule in use knows; always there. */
  readonly nobody: Signature;

  constructor() {
    this.nobody = this.of({ atoms: [], regions: [], named: undefined, isOwnNode: false, isUnknown: false });
    this.nobody.pieces = 1;
  }

  [Symbol.iterator](): Iterator<Signature> {
    return this.#byKey.values();
  }

  of({ atoms, regions, named, isOwnNode, isUnknown }: Traits): Signature {
    let key = isOwnNode ? 'own' : isUnknown ? 'unknown' : '';
    for (const { id } of atoms) key += `,${id}`;
    for (const { id } of regions) key += `/${id}`;
    if (named) key += `;${named.key}`;
    key = shortKey(key);
    let found = this.#byKey.get(key);
    if (!found) {
      found = {
        ...{ key, atoms, regions, named, isOwnNode, isUnknown },
        ...{ addresses: new Set(), pieces: 0, cells: new Int32Array(this.#width), hash: 0, alike: undefined, isGone: false },
      };
      this.#byKey.set(key, found);
      this.fresh.add(found);
      if (isOwnNode || isUnknown) this.special.add(found);
    }
    return found;
  }

  /** Room for so many slots. */
  widen(slots: number): void {
    if (slots <= this.#width) return;
    this.#width = Math.ceil((slots * 1.25) / 16) * 16;
    for (const signature of this) {
      const cells = new Int32Array(this.#width);
      cells.set(signature.cells);
      signature.cells = cells;
    }
  }

  /** No address may be so any more. */
  mayBeGone(signature: Signature): void {
    this.#maybeGone.add(signature);
  }

  /** Forgets those that no address has. @returns them */
  sweep(): Signature[] {
    const gone: Signature[] = [];
    for (const signature of this.#maybeGone) {
      if (signature.addresses.size > 0 || signature.pieces > 0 || signature.isGone) continue;
      this.#byKey.delete(signature.key);
      this.special.delete(signature);
      signature.isGone = true;
      if (!this.fresh.delete(signature)) gone.push(signature);
    }
    this.#maybeGone.clear();
    return gone;
  }
}

/** Two lists of atoms in one. */
export function merged(a: readonly Atom[], b: readonly Atom[]): readonly Atom[] {
  if (b.length === 0) return a;
  if (a.length === 0) return b;
  return [...new Set([...a, ...b])].sort((x, y) => x.id - y.id);
}
