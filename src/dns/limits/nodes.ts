import type { Api } from '../../kube/api.ts';
import { Informer } from '../../kube/informer.ts';
import { Nodes } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import { ClientAddress } from '../wire/client.ts';

/**
 * The addresses of the cluster's Nodes: a node whose own DNS is not ready asks the others', and what pods send there may have its address. Until they are known everybody passes: who asks cannot be
 * told from a node.
 */
export class NodeClients implements Disposable {
  readonly #informer: Informer<Node, readonly string[]>;
  /** How often an address is had: one may pass from Node to Node. */
  readonly #count = new Map<string, number>();
  readonly #present = new Map<string, readonly string[]>();

  constructor(api: Api, onError?: (error: Error) => void) {
    this.#informer = new Informer<Node, readonly string[]>(api, Nodes, {
      project: ({ status }) => (status?.addresses ?? []).flatMap(({ address }) => keyOfText(address)),
      onChange: (changes) => {
        for (const { type, key, object } of changes) this.#set(key, type === 'deleted' ? [] : object);
      },
      ...(onError ? { onError } : {}),
    });
  }

  start(): void {
    this.#informer.start();
  }

  /** All of them have been told of at least once. */
  get isKnown(): boolean {
    return this.#informer.isSynced;
  }

  get size(): number {
    return this.#present.size;
  }

  get error(): Error | undefined {
    return this.#informer.error;
  }

  /** Whether a Node has this address, or it is not known who has. */
  has(client: ClientAddress): boolean {
    return !this.isKnown || this.#count.has(keyOf(client));
  }

  [Symbol.dispose](): void {
    this.#informer.stop();
  }

  #set(node: string, addresses: readonly string[]): void {
    for (const address of addresses) this.#count.set(address, (this.#count.get(address) ?? 0) + 1);
    for (const address of this.#present.get(node) ?? []) {
      const left = this.#count.get(address)! - 1;
      if (left > 0) this.#count.set(address, left);
      else this.#count.delete(address);
    }
    if (addresses.length > 0) this.#present.set(node, addresses);
    else this.#present.delete(node);
  }
}

/** Who comes so far is neither a pod nor this machine: few questions make a string. */
const keyOf = ({ family, words }: ClientAddress): string => (family === 4 ? String(words[0]) : words.join());

/** Names are among a Node's addresses as well. */
function keyOfText(text: string): string[] {
  const client = new ClientAddress();
  client.setText(text);
  return client.family === 0 ? [] : [keyOf(client)];
}
