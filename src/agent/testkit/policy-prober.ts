import { setTimeout as sleep } from 'node:timers/promises';
import type { NetNs } from '../../kernel/netns.ts';
import { echoPort } from './policy-node.ts';
import { Echo, Traffic } from './traffic.ts';

/** Somebody who can be asked, and who asks. */
interface Side {
  ns: NetNs;
  addresses: readonly string[];
}

export interface Asking {
  /** All of them may. */
  allowed: { name: string; from: NetNs; to: Side }[];
  forbidden: { from: NetNs; to: Side }[];
}

/**
 * Asks all the time, by connections that stay and by new ones: where policies allow it, every answer must come; where they forbid it, no packet may arrive. An end
 * that anybody may ask must be another than one that somebody may not.
 */
export class PolicyProber implements Disposable {
  readonly #allowed: Traffic[] = [];
  readonly #forbidden: Traffic[] = [];
  readonly #echoes = new Map<NetNs, Echo>();
  readonly #shut = new Set<Echo>();

  static async start({ allowed, forbidden }: Asking): Promise<PolicyProber> {
    const prober = new PolicyProber();
    for (const { name, from, to } of allowed) {
      await prober.#echo(to);
      const traffic = new Traffic(from);
      prober.#allowed.push(traffic);
      for (const address of to.addresses) {
        await traffic.tcpFlow(`${name} by TCP to ${address}`, address, echoPort);
        await traffic.udpFlow(`${name} by UDP to ${address}`, address, echoPort);
        traffic.tcpConnections(`${name} again and again to ${address}`, address, echoPort);
      }
    }
    for (const { from, to } of forbidden) {
      prober.#shut.add(await prober.#echo(to));
      const asking = new Traffic(from);
      prober.#forbidden.push(asking);
      for (const address of to.addresses) {
        await asking.udpFlow('UDP', address, echoPort, 2);
        asking.tcpConnections('TCP', address, echoPort, 10);
      }
    }
    return prober;
  }

  /** @returns what was lost of what is allowed, and how much came of what is not */
  async end(): Promise<{ lost: string[]; through: number }> {
    await sleep(300);
    const lost = (await Promise.all(this.#allowed.map((traffic) => traffic.end()))).flat();
    for (const { flows } of [...this.#allowed, ...this.#forbidden])
      for (const { name, sent } of flows) if (sent < 5) lost.push(`${name}: only ${sent} were sent`);
    return { lost, through: [...this.#shut].reduce((sum, { heard }) => sum + heard, 0) };
  }

  async #echo({ ns }: Side): Promise<Echo> {
    const echo = this.#echoes.get(ns) ?? (await Echo.start(ns, echoPort));
    this.#echoes.set(ns, echo);
    return echo;
  }

  [Symbol.dispose](): void {
    for (const part of [...this.#forbidden, ...this.#allowed, ...this.#echoes.values()]) part[Symbol.dispose]();
  }
}
