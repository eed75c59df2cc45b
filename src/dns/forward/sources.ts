import type { ClientAddress } from '../wire/client.ts';

interface Source {
  client: ClientAddress;
  waiting: number;
  /** Another source with the same hash. */
  next: Source | undefined;
}

/** How many questions of each source wait for resolvers. Holds those that wait, and nobody else. */
export class WaitingSources {
  readonly #byHash = new Map<number, Source>();
  /** All together. */
  total = 0;

  waiting(client: ClientAddress): number {
    return this.#find(client)?.waiting ?? 0;
  }

  begin(client: ClientAddress): void {
    this.total++;
    const present = this.#find(client);
    if (present) present.waiting++;
    else {
      const { hash } = client;
      this.#byHash.set(hash, { client: client.copy(), waiting: 1, next: this.#byHash.get(hash) });
    }
  }

  end(client: ClientAddress): void {
    this.total--;
    const source = this.#find(client);
    if (!source || --source.waiting > 0) return;
    const { hash } = client;
    const head = this.#byHash.get(hash)!;
    if (head !== source) {
      let before = head;
      while (before.next !== source) before = before.next!;
      before.next = source.next;
    } else if (source.next) this.#byHash.set(hash, source.next);
    else this.#byHash.delete(hash);
  }

  #find(client: ClientAddress): Source | undefined {
    let source = this.#byHash.get(client.hash);
    while (source && !source.client.equals(client)) source = source.next;
    return source;
  }
}
