import { IpAddr } from '../../net/ip.ts';
import { endpointsOf, type SliceFacts } from './facts.ts';
import { NumberIndex } from './number-index.ts';

/** A ready endpoint as its slice has it. */
export interface Endpoint {
  /** `namespace/name` of the slice. */
  slice: string;
  facts: SliceFacts;
  hostname: string | undefined;
  address: IpAddr;
}

interface Slice {
  number: number;
  facts: SliceFacts;
}

/**
 * The ready endpoints of Services with a ClusterIP: they have names as those of headless Services do (D6), and their addresses lead back to these (D8). They are ten times as many as all other names
 * and hardly ever asked for, so that nothing is kept of them but which slices an address stands in.
 */
export class EndpointNames {
  readonly #slices = new Map<string, Slice>();
  readonly #byNumber: (string | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #byAddress = new NumberIndex();

  /** @param facts undefined: it gives no names (any more) */
  set(key: string, facts: SliceFacts | undefined): void {
    const before = this.#slices.get(key);
    if (before?.facts.endpoints === facts?.endpoints && before && facts) {
      before.facts = facts;
      return;
    }
    const number = before?.number ?? this.#free.pop() ?? this.#byNumber.length;
    if (before) this.#each(before.facts, (address) => this.#byAddress.remove(address, number));
    if (facts) {
      this.#slices.set(key, { number, facts });
      this.#byNumber[number] = key;
      this.#each(facts, (address) => this.#byAddress.add(address, number));
    } else if (before) {
      this.#slices.delete(key);
      this.#byNumber[number] = undefined;
      this.#free.push(number);
    }
  }

  /** All endpoints with this address. */
  at(address: IpAddr): Endpoint[] {
    const text = String(address);
    return [...this.#byAddress.get(hashOf(text))].flatMap((number) => {
      const slice = this.#byNumber[number]!;
      const { facts } = this.#slices.get(slice)!;
      return endpointsOf(facts).flatMap(({ hostname, addresses }) => (addresses.some((one) => canonical(one) === text) ? [{ slice, facts, hostname, address }] : []));
    });
  }

  /** Those of some slices that have this host name, which is looked for as text: there may be thousands beside it. */
  named(slices: Iterable<string>, hostname: string): Endpoint[] {
    const found: Endpoint[] = [];
    for (const slice of slices) {
      const facts = this.#slices.get(slice)?.facts;
      // Host names stand before blanks, and addresses behind them.
      if (!facts?.endpoints.includes(`${hostname} `)) continue;
      for (const endpoint of endpointsOf(facts)) {
        if (endpoint.hostname !== hostname) continue;
        for (const text of endpoint.addresses) {
          const address = IpAddr.tryParse(text);
          if (address) found.push({ slice, facts, hostname, address });
        }
      }
    }
    return found;
  }

  #each(facts: SliceFacts, visit: (address: number) => void): void {
    if (facts.isFqdn) return;
    for (const { addresses } of endpointsOf(facts)) for (const text of addresses) visit(hashOf(canonical(text)));
  }
}

/** IPv4 has one form, and is not parsed: there are a hundred in a slice. */
const canonical = (text: string): string => (text.includes(':') ? String(IpAddr.tryParse(text) ?? '') : text);

function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) + 1;
  return hash | 0;
}
