import { classBits, classNumber, denied, parseValue, valueText } from '../../policy/plan/index.ts';
import type { Item, Reconciler } from '../../reconcile/index.ts';
import { keyOf, type NftElement } from '../../reconcile/model.ts';
import { isDefault, type PolicyFaults, podOwner, rowsOwners } from './faults.ts';
import type { Contribution } from './parts.ts';

const nothing = valueText(denied);

/** How far a pod is closed: what no row of its own allows, or all. */
type Extent = 'default' | 'all';

export type ClosingParts = { reconciler: Pick<Reconciler, 'statuses' | 'itemsOf' | 'actual'>; faults: Pick<PolicyFaults, 'failing'> };

/**
 * Fails closed where the kernel refuses a part of what isolates a pod: without a row the pod's default is for its peer, without an identity another one, without the ports of a class all others
 * of it, and each may allow more than was meant. Whom that would open has a default of nothing until the kernel takes it all.
 */
export class PolicyClosing {
  readonly #parts: ClosingParts;
  #closed: ReadonlyMap<string, Extent> = new Map();
  /** Of owners of closed pods, what they are to have again. */
  readonly #meant = new Map<string, readonly Item[]>();

  constructor(parts: ClosingParts) {
    this.#parts = parts;
  }

  /** Pods that have less than policies allow. */
  get closed(): ReadonlySet<string> {
    return new Set(this.#closed.keys());
  }

  /** What is to be contributed of what is meant. */
  pass([owner, items]: Contribution): Contribution {
    const pod = podOf(owner);
    if (!pod || !this.#closed.has(pod)) return [owner, items];
    if (items.length > 0) this.#meant.set(owner, items);
    else this.#meant.delete(owner);
    return [owner, closedItems(owner, items, this.#closed.get(pod)!)];
  }

  /** To be called when the kernel was written to. @returns what is to be written otherwise now; what closes comes first */
  update(): Contribution[] {
    const { failing } = this.#parts.faults;
    if (failing.size === 0 && this.#closed.size === 0) return [];
    const before = this.#closed;
    const now = this.#exposed(failing.keys());
    const changed = new Set([...before.keys(), ...now.keys()].filter((pod) => before.get(pod) !== now.get(pod)));
    const stale = this.#staleRows(failing.keys());
    if (changed.size === 0) return stale;
    const owners = [...this.#parts.reconciler.statuses().keys(), ...this.#meant.keys()];
    const meant = [...new Set(owners.filter((owner) => changed.has(podOf(owner) ?? '')))].map(
      (owner): Contribution => [owner, this.#itemsOf(owner)],
    );
    for (const [owner] of meant) this.#meant.delete(owner);
    this.#closed = now;
    // A default opens when its exceptions are there.
    const isFirst = ([owner]: Contribution): boolean => now.has(podOf(owner)!) === owner.startsWith('policy pod ');
    const parts = [...meant.filter(isFirst), ...meant.filter((part) => !isFirst(part))];
    return [...parts.map((part) => this.pass(part)), ...stale];
  }

  /** A row that cannot be changed can be deleted: behind it is a default of nothing. It is wanted again at once, so that it is tried again. */
  #staleRows(failing: Iterable<string>): Contribution[] {
    const held = this.#parts.reconciler.actual();
    return [...failing].flatMap((owner): Contribution[] => {
      const items = owner.startsWith('policy rows ') ? [...this.#parts.reconciler.itemsOf(owner)] : [];
      const absent = new Set(this.#missing(items).filter((item) => held.has(keyOf(item))).map(keyOf));
      if (absent.size === 0) return [];
      return [
        [owner, items.filter((item) => !absent.has(keyOf(item)))],
        [owner, items],
      ];
    });
  }

  #itemsOf(owner: string): readonly Item[] {
    return this.#meant.get(owner) ?? [...this.#parts.reconciler.itemsOf(owner)];
  }

  /** Whom what is refused may open. */
  #exposed(failing: Iterable<string>): Map<string, Extent> {
    const exposed = new Map<string, Extent>();
    const pods = new Map<string, PodCells>();
    const cells = (): Map<string, PodCells> => {
      if (pods.size === 0) for (const key of this.#pods()) pods.set(key, this.#cellsOf(key));
      return pods;
    };
    const closeAll = (isMeant: (cells: PodCells) => boolean): void => {
      for (const [key, one] of cells()) if (isMeant(one)) exposed.set(key, 'all');
    };
    for (const owner of failing) {
      const [, kind, name = ''] = /^policy (\w+) ?(.*)$/.exec(owner) ?? [];
      if (kind === 'rows') {
        const pod = podOf(owner)!;
        if (!exposed.has(pod)) exposed.set(pod, 'default');
      } else if (kind === 'class') closeAll(({ classes }) => [...classes].some((text) => isOpenClass(text, Number(name))));
      else if (kind === 'dns') closeAll(({ defaults }) => [...defaults.keys()].some((set) => set.startsWith('policy-egress')));
      else if (kind === 'identities' || kind === 'networks') {
        const missing = this.#missing(this.#itemsOf(owner));
        closeAll((one) => missing.some((item) => this.#isExposed(one, item)));
      }
    }
    return exposed;
  }

  /** Elements that the kernel does not hold as they are meant. */
  #missing(items: readonly Item[]): NftElement[] {
    const held = this.#parts.reconciler.actual();
    return items.filter((item) => item.kind === 'nft-element').filter((item) => {
      const actual = held.get(keyOf(item));
      return actual?.kind !== 'nft-element' || actual.data !== item.data;
    });
  }

  /** Whether a pod may be open to an address that bears another identity than was meant: one of a network, one that it had before, or none. */
  #isExposed({ rows, defaults }: PodCells, item: NftElement): boolean {
    const digit = item.set.slice(-1);
    const held = this.#parts.reconciler.actual().get(keyOf(item));
    const others = [nothing, ...this.#networks(), ...(held?.kind === 'nft-element' ? [held.data!] : [])];
    return [...defaults].some(([set, usual]) => {
      if (!set.endsWith(digit)) return false;
      const cell = (identity: string): string => rows.get(rowKey(set.replace('-default', ''), identity)) ?? usual;
      const meant = cell(item.data!);
      return others.map(cell).some((other) => other !== meant && other !== nothing && meant !== all);
    });
  }

  /** Identities of networks. */
  #networks(): Set<string> {
    const owners = [...this.#parts.reconciler.statuses().keys()].filter((owner) => owner.startsWith('policy networks '));
    return new Set(owners.flatMap((owner) => this.#elementsOf(owner).map(({ data }) => data!)));
  }

  #pods(): Set<string> {
    const owners = [...this.#parts.reconciler.statuses().keys()].filter((owner) => owner.startsWith('policy pod '));
    return new Set(owners.map((owner) => podOf(owner)!));
  }

  #cellsOf(pod: string): PodCells {
    const owners = [...this.#parts.reconciler.statuses().keys(), ...this.#meant.keys()].filter((owner) => owner.startsWith(rowsOwners(pod)));
    const rows = [...new Set(owners)].flatMap((owner) => this.#elementsOf(owner));
    const own = this.#elementsOf(podOwner(pod));
    const cells: PodCells = { rows: new Map(), defaults: new Map(), classes: new Set(own.flatMap(({ data }) => data ?? [])) };
    for (const { set, data } of own.filter(isDefault)) cells.defaults.set(set, data!);
    for (const { set, key, data } of rows) {
      cells.rows.set(rowKey(set, key.slice(0, key.indexOf(' '))), data!);
      cells.classes.add(data!);
    }
    return cells;
  }

  #elementsOf(owner: string): NftElement[] {
    return this.#itemsOf(owner).filter((item) => item.kind === 'nft-element');
  }
}

/** What a pod is allowed, as text of classes: by set and identity, by set, and all that occur. */
interface PodCells {
  rows: Map<string, string>;
  defaults: Map<string, string>;
  classes: Set<string>;
}

const all = valueText(classBits.portless | classBits.otherPorts);
const rowKey = (set: string, identity: string): string => `${set} ${identity}`;

/** Without its ports more than is meant: they are those that are denied. */
function isOpenClass(text: string, number: number): boolean {
  const value = parseValue(text);
  return classNumber(value) === number && (value & classBits.otherPorts) !== 0;
}

/** Whose default or rows an owner has. */
const podOf = (owner: string): string | undefined => /^policy (?:pod (.+)|rows (.+) \d+)$/.exec(owner)?.slice(1).find(Boolean);

function closedItems(owner: string, items: readonly Item[], extent: Extent): readonly Item[] {
  if (!owner.startsWith('policy pod ')) return extent === 'all' ? [] : items;
  return items.map((item) => (isDefault(item) ? { ...item, data: nothing } : item));
}
