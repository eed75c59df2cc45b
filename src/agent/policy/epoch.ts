import { randomInt } from 'node:crypto';
import type { Conntrack } from '../../kernel/conntrack.ts';
import { epochOf, lastEpoch, nextEpoch, planEpoch, planUnmarked } from '../../policy/plan/index.ts';
import { satisfies } from '../../reconcile/items.ts';
import type { Item, NodeNetwork } from '../../reconcile/model.ts';
import { Reader } from '../../wire/reader.ts';

/** What connections bear. */
type Marks = Pick<Conntrack, 'marks' | 'clearMarks'>;

/** So many numbers are taken from connections at once, of few a quarter. */
const recalledAtOnce = 1024;

/**
 * The present epoch of the node's policies (ADR 19). It goes on where the kernel stands, and no number is given again that a connection still bears.
 */
export class PolicyEpoch {
  readonly #mask: number;
  readonly #conntrack: Marks;
  #present: number;
  /** Connections bear epochs. Without that each packet is judged. */
  isMarked = true;
  /** What connections may bear of numbers that were given before; read when such a number may come next. */
  #borne: ReadonlySet<number> | undefined;

  /** @param held what the kernel holds; where it has no epoch one is drawn, since connections of a former time bear any */
  constructor(mask: number, conntrack: Marks, held: NodeNetwork) {
    this.#mask = mask;
    this.#conntrack = conntrack;
    const present = heldEpoch(held, mask);
    this.#present = present ?? randomInt(1, lastEpoch(mask) + 1);
    if (present === undefined) this.begin();
  }

  get present(): number {
    return this.#present;
  }

  items(): Item[] {
    return this.isMarked ? planEpoch(this.#present, this.#mask) : planUnmarked();
  }

  /**
   * The next one begins.
   * @throws RangeError when connections bear every number that there is, and somebody else writes these bits too
   */
  begin(): void {
    let next = nextEpoch(this.#present, this.#mask, this.#borne ?? this.#read());
    // From the first number on again, or none was left: many of the connections that were seen are gone or bear a later one meanwhile.
    if (next === undefined || next < this.#present) next = nextEpoch(this.#present, this.#mask, this.#read());
    if (next === undefined) {
      this.#recall();
      next = nextEpoch(this.#present, this.#mask, this.#read());
    }
    if (next === undefined)
      throw new RangeError(
        `connections bear all ${lastEpoch(this.#mask)} epochs that fit into connmarkMask 0x${this.#mask.toString(16)}, also after numbers were taken from them: somebody else writes these bits of conntrack marks; give podnet others`,
      );
    this.#present = next;
  }

  /** Connections that were judged longest ago are so no more: their next packets are judged. Nothing is opened by it, and nothing cut that is allowed. */
  #recall(): void {
    const last = lastEpoch(this.#mask);
    const count = Math.max(1, Math.min(recalledAtOnce, last >> 2));
    // Numbers go round: those that come next are the oldest.
    const isOld = (epoch: number): boolean => epoch !== 0 && (epoch - this.#present - 1 + last) % last < count;
    this.#conntrack.clearMarks(this.#mask, (mark) => isOld(epochOf(mark, this.#mask)));
  }

  #read(): ReadonlySet<number> {
    this.#borne = new Set(Array.from(this.#conntrack.marks(), (mark) => epochOf(mark, this.#mask)));
    return this.#borne;
  }
}

/** The epoch of the chain that lets settled connections pass; undefined where there is none, or one of another mask. */
function heldEpoch(held: NodeNetwork, mask: number): number | undefined {
  const chain = held.get('nft-chain policy-known');
  if (chain?.kind !== 'nft-chain') return undefined;
  for (const { expressions } of chain.rules)
    for (const expression of expressions) {
      if (expression.name !== 'cmp' || expression.data?.length !== 10) continue;
      const epoch = epochOf(new Reader(Buffer.from(expression.data.slice(2), 'hex')).u32(), mask);
      if (epoch > 0 && planEpoch(epoch, mask).some((item) => satisfies(chain, item))) return epoch;
    }
  return undefined;
}
