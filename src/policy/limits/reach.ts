import type { PodSelection } from '../model.ts';
import { namespaceRequirementsOf, requirementsOf } from '../plan/remote/selection-index.ts';

/** With more values than this a label counts as if any value would do. */
const fewValues = 32;

/** A label that pods must have, with any of these values. */
interface Wanted {
  label: string;
  values: readonly string[];
}

/** Labels that must be there, all of them: of the namespace, of pods. */
export type Wants = readonly (readonly Wanted[])[];

/** Where selections may come together on one pod: those that ask for different values of one label never do. */
export interface Place {
  label: string;
  value: string;
}

function wantedOf(kind: string, parts: readonly string[]): Wanted {
  const at = parts[0]!.indexOf('=');
  const label = `${kind} ${at < 0 ? parts[0]! : parts[0]!.slice(0, at)}`;
  return at < 0 || parts.length > fewValues ? { label: `${label}?`, values: [''] } : { label, values: parts.map((part) => part.slice(at + 1)) };
}

export const wantsOf = (selection: PodSelection): Wants => [
  namespaceRequirementsOf(selection).map((parts) => wantedOf('namespace', parts)),
  requirementsOf(selection.pods).map((parts) => wantedOf('pod', parts)),
];

/** Of whoever it may be. */
export const anybody: Wants = [];

/** By which labels things are told apart: of several the one that is asked for with most values. */
export class Tellers {
  readonly #values = new Map<string, Set<string>>();

  note(wants: Wants): void {
    for (const { label, values } of wants.flat()) {
      const known = this.#values.get(label);
      if (known) for (const value of values) known.add(value);
      else this.#values.set(label, new Set(values));
    }
  }

  /** Where it stands, under one label of each. */
  placesOf(wants: Wants): Place[] {
    let places: Place[] = [{ label: '', value: '' }];
    for (const some of wants) {
      const { label, values } = some.length === 1 ? some[0]! : this.#best(some);
      places = places.flatMap((one) => values.map((value) => ({ label: `${one.label} ${label}`, value: `${one.value} ${value}` })));
    }
    return places;
  }

  #best(some: readonly Wanted[]): Wanted {
    const worthOf = ({ label, values }: Wanted): number => this.#values.get(label)!.size / values.length;
    return some.reduce((best, one) => {
      const more = worthOf(one) - worthOf(best);
      return more > 0 || (more === 0 && one.label < best.label) ? one : best;
    });
  }
}

/** How much can come together on one pod at the most: of each label the value for which there is most. What is taken back may still be in the total: it is no less than it must be. */
export class Reach {
  readonly #at = new Map<string, Map<string, number>>();
  readonly #most = new Map<string, number>();
  /** So much. */
  total = 0;

  add({ label, value }: Place, amount: number): void {
    let values = this.#at.get(label);
    if (!values) this.#at.set(label, (values = new Map()));
    const now = (values.get(value) ?? 0) + amount;
    if (now === 0) values.delete(value);
    else values.set(value, now);
    const most = this.#most.get(label) ?? 0;
    if (values.size === 0) {
      // Nothing is remembered of a label that nobody asks for any more: ever other ones may come and go.
      this.#at.delete(label);
      this.#most.delete(label);
      this.total -= most;
      return;
    }
    if (now <= most) return;
    this.#most.set(label, now);
    this.total += now - most;
  }
}
