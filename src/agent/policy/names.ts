import type { IpAddr } from '../../net/ip.ts';
import { domainNamesOf } from '../../policy/domains.ts';
import type { Policy } from '../../policy/model.ts';
import { NameListener } from './name-listener.ts';

/** The domain names that policies speak of (CNP11), and the addresses that this node's own DNS gives for them; none where it has no DNS of its own. */
export class PolicyNames implements Disposable {
  readonly #names: NameListener | undefined;

  /**
   * @param socketPath health socket of the node's own DNS
   * @param onChange a name has other addresses: in the kernel when this returns, since the pod that asked is given its answer then
   */
  constructor(socketPath: string | undefined, onChange: (name: string, addresses: readonly IpAddr[]) => void) {
    this.#names = socketPath === undefined ? undefined : new NameListener({ socketPath, onChange });
  }

  /** What these policies speak of is wanted from now on. @param policies all of them */
  want(policies: readonly Policy[]): void {
    this.#names?.want(policies.flatMap(domainNamesOf));
  }

  /** Fulfilled soon, when the DNS has told what it knows. */
  async settled(): Promise<void> {
    await this.#names?.settled;
  }

  /** Each name with its addresses; undefined where there is no DNS that could tell. */
  all(): ReadonlyMap<string, readonly IpAddr[]> | undefined {
    return this.#names?.all();
  }

  [Symbol.dispose](): void {
    this.#names?.[Symbol.dispose]();
  }
}
