/** Disposes of what it was given, the last first: a DisposableStack for Node 20. */
export class Held implements Disposable {
  readonly #all: Disposable[] = [];

  use<T extends Disposable>(one: T): T {
    this.#all.push(one);
    return one;
  }

  [Symbol.dispose](): void {
    for (const one of this.#all.splice(0).reverse()) one[Symbol.dispose]();
  }
}
