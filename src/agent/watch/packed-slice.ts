import type { Endpoint, EndpointConditions, EndpointHints, EndpointSlice } from '../../kube/types.ts';
import { Interned } from './interned.ts';

/**
 * An EndpointSlice whose endpoints are kept as a few strings and a list of nodes: as objects, those of a large cluster would take ten times the memory. They are made
 * anew each time somebody looks at `endpoints`; whoever looks twice keeps them.
 */
export class PackedSlice implements EndpointSlice {
  readonly metadata: EndpointSlice['metadata'];
  readonly addressType: EndpointSlice['addressType'];
  readonly ports: EndpointSlice['ports'];
  /** Of each its first one, with a space between. */
  readonly #addresses: string;
  /** Of each one character: the number of its conditions; '0' for none. */
  readonly #conditions: string;
  /** Of each, or none where nobody has one. */
  readonly #nodes: readonly (string | undefined)[] | undefined;
  readonly #hints: readonly (EndpointHints | undefined)[] | undefined;

  constructor({ metadata, addressType, ports }: Omit<EndpointSlice, 'endpoints'>, endpoints: readonly Endpoint[]) {
    this.metadata = metadata;
    this.addressType = addressType;
    this.ports = ports;
    this.#addresses = endpoints.map(({ addresses }) => (addresses?.[0] ?? '').replaceAll(' ', '?')).join(' ');
    this.#conditions = String.fromCharCode(...endpoints.map(({ conditions }) => code(conditions)));
    this.#nodes = endpoints.some(({ nodeName }) => nodeName !== undefined)
      ? endpoints.map(({ nodeName }) => (nodeName === undefined ? undefined : nodeNames.of(nodeName, nodeName)))
      : undefined;
    this.#hints = endpoints.some(({ hints }) => hints)
      ? endpoints.map(({ hints }) => hints && allHints.of(JSON.stringify(hints), hints))
      : undefined;
  }

  get endpoints(): Endpoint[] {
    if (this.#conditions === '') return [];
    return this.#addresses.split(' ').map((address, i) => {
      const endpoint: Endpoint = {
        addresses: [address],
        nodeName: this.#nodes?.[i],
        conditions: allConditions[this.#conditions.charCodeAt(i)],
      };
      if (this.#hints) endpoint.hints = this.#hints[i];
      return endpoint;
    });
  }
}

/** Of all endpoints there are as many names of nodes as nodes, and a few hints: one of each is kept. */
const nodeNames = new Interned<string>();
const allHints = new Interned<EndpointHints>();

const states = [undefined, false, true] as const;
/** Each of the three may be left open; the first is of an endpoint without any. */
const allConditions: readonly (EndpointConditions | undefined)[] = [
  undefined,
  ...states.flatMap((ready) =>
    states.flatMap((serving) => states.map((terminating): EndpointConditions => ({ ready, serving, terminating }))),
  ),
];

const place = (state: boolean | undefined): number => (state === undefined ? 0 : state ? 2 : 1);

/** The conditions' place in `allConditions`. */
const code = (conditions: EndpointConditions | undefined): number => {
  if (!conditions) return 0;
  return 1 + place(conditions.ready) * 9 + place(conditions.serving) * 3 + place(conditions.terminating);
};
