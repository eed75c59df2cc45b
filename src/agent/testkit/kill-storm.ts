import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetNs } from '../../kernel/netns.ts';
import { routeProtocol } from '../../kernel/rtnetlink/routes.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { isPodLink } from '../../links/pod-link.ts';
import { addressBits, type IpAddr } from '../../net/ip.ts';
import { nft, run } from '../../testing/judge.ts';
import { callCni } from './cni.ts';
import type { ProcessNode } from './process-node.ts';

export interface StormOptions {
  /** How often the agent is killed. */
  kills: number;
  signal?: AbortSignal;
  /** Runtimes that call at the same time. Default 4. */
  runtimes?: number;
  /** Two pods live through it all: once they are there, and again when the storm is over. @returns what went wrong, a sentence each */
  residents?: Residents;
  /** Before each start: other objects in the API, say. */
  onStart?: (life: number) => void;
}

/** Those who live through a storm. */
export interface Residents {
  begin(pods: readonly Resident[]): Promise<void>;
  end(): Promise<string[]>;
}

export interface Resident {
  netns: string;
  addresses: readonly string[];
}

export interface StormReport {
  kills: number;
  ms: number;
  /** ADDs that succeeded. */
  adds: number;
  /** Calls that failed and were made again, or given up, as runtimes do. */
  retries: number;
  /** What should not be, a sentence each. */
  problems: string[];
}

interface LivePod {
  containerId: string;
  netns: string;
  addresses: string[];
}

const inThousand = (): number => randomBytes(4).readUInt32LE(0) % 1000;
const keptAtMost = 12;

/**
 * Kills the agent again and again, at any moment, while runtimes add and delete pods as kubelet has them do: an ADD that failed is followed by DEL, and a DEL
 * that failed is tried again. Then starts it a last time and looks for what is left: of pods that are gone nothing, of pods that live everything.
 * The node is not started yet, and its agent is killed afterwards.
 */
export async function killStorm(node: ProcessNode, options: StormOptions): Promise<StormReport> {
  const storm = new Storm(node);
  const begin = performance.now();
  const { residents } = options;
  options.onStart?.(0);
  if (residents) {
    await node.start();
    await node.ready();
    await residents.begin(await storm.settle(2));
    await node.kill();
  }
  const runtimes = Array.from({ length: options.runtimes ?? 4 }, () => storm.runtime());
  try {
    for (let i = 0; i < options.kills; i++) {
      options.signal?.throwIfAborted();
      options.onStart?.(i);
      await storm.killOnce();
    }
    await node.start();
    await storm.end(runtimes);
    await node.ready();
    await storm.judge('after the storm');
    if (residents) storm.problems.push(...(await residents.end()));
    await storm.deleteLive();
    await storm.judge('after all pods are deleted');
  } finally {
    // After an error no agent is there any more that could answer a DEL.
    storm.giveUp();
    await storm.end(runtimes).catch(() => {});
    storm[Symbol.dispose]();
  }
  return { kills: options.kills, ms: performance.now() - begin, ...storm.report() };
}

class Storm implements Disposable {
  readonly #node: ProcessNode;
  readonly #pods: string;
  /** By container id: ADD has answered, and no DEL was sent. */
  readonly #live = new Map<string, LivePod>();
  readonly problems: string[] = [];
  #ending = false;
  #givenUp = false;
  #adds = 0;
  #retries = 0;
  #answers = 0;

  constructor(node: ProcessNode) {
    this.#node = node;
    this.#pods = `${node.directory}/storm-pods`;
    mkdirSync(this.#pods);
  }

  report(): Pick<StormReport, 'adds' | 'retries' | 'problems'> {
    return { adds: this.#adds, retries: this.#retries, problems: this.problems };
  }

  /** One life of the agent: mostly until some calls are answered, sometimes not even until it listens. */
  async killOnce(): Promise<void> {
    const node = this.#node;
    await node.start();
    if (inThousand() < 150) await sleep(inThousand() / 3);
    else {
      // Counted in answers, not in time: on a busy machine it is to be hit in the middle of work too.
      await this.#answered(1 + (inThousand() % 12));
      await sleep(inThousand() / 100);
    }
    await node.kill();
  }

  /** Fulfilled after so many answers more. */
  async #answered(count: number): Promise<void> {
    const enough = this.#answers + count;
    for (const end = performance.now() + 30_000; this.#answers < enough; await sleep(1))
      if (performance.now() > end) throw new Error(`the agent gave no ${count} answers in 30 s:\n${this.#node.log()}`);
  }

  /** Pods that no runtime deletes before the end. */
  async settle(count: number): Promise<LivePod[]> {
    for (let i = 0; i < count; i++) {
      const containerId = `resident-${i}`;
      const netns = `${this.#pods}/${containerId}`;
      NetNs.create(netns)[Symbol.dispose]();
      const { code, json } = await this.#call('ADD', containerId, netns);
      if (code !== 0) throw new Error(`ADD: ${JSON.stringify(json)}`);
      this.#added({ containerId, netns, addresses: addressesIn(json) });
    }
    return [...this.#live.values()];
  }

  /** Adds and deletes pods until the storm ends. */
  async runtime(): Promise<void> {
    while (!this.#ending) {
      const containerId = randomBytes(32).toString('hex');
      const netns = `${this.#pods}/${containerId.slice(0, 12)}`;
      NetNs.create(netns)[Symbol.dispose]();
      const { code, json } = await this.#call('ADD', containerId, netns);
      if (code === 0) this.#added({ containerId, netns, addresses: addressesIn(json) });
      else this.#retries++;
      if (code === 0 && this.#live.size <= keptAtMost && inThousand() < 250) continue;
      await sleep(inThousand() / 50);
      await this.#delete(containerId, netns);
    }
  }

  /** Nobody tries again from here on. */
  giveUp(): void {
    this.#givenUp = true;
  }

  async end(runtimes: readonly Promise<void>[]): Promise<void> {
    this.#ending = true;
    await Promise.all(runtimes);
  }

  async deleteLive(): Promise<void> {
    for (const { containerId, netns } of [...this.#live.values()]) await this.#delete(containerId, netns);
  }

  /** Compares leases, links, routes, neighbours, rules and the pods themselves with the pods that live. */
  async judge(when: string): Promise<void> {
    const differences = async (): Promise<string[]> => [...this.#onDisk(), ...this.#inKernel(), ...(await this.#inAgent())];
    let left = await differences();
    // The deletion of links goes on in the background.
    for (const end = performance.now() + 20_000; left.length > 0 && performance.now() < end; left = await differences())
      await sleep(50);
    this.problems.push(...[...left, ...this.#inPods()].map((what) => `${when}: ${what}`));
  }

  #added(pod: LivePod): void {
    this.#adds++;
    for (const other of this.#live.values())
      for (const address of other.addresses)
        if (pod.addresses.includes(address)) this.problems.push(`${address} was given to two pods that live`);
    this.#live.set(pod.containerId, pod);
  }

  /** Until it succeeds, as kubelet does; sometimes the namespace is gone before. */
  async #delete(containerId: string, netns: string): Promise<void> {
    this.#live.delete(containerId);
    const early = inThousand() < 250;
    if (early) NetNs.remove(netns);
    while ((await this.#call('DEL', containerId, netns)).code !== 0 && !this.#givenUp) {
      this.#retries++;
      await sleep(10);
    }
    if (!early) NetNs.remove(netns);
  }

  async #call(command: string, containerId: string, netns: string): Promise<Awaited<ReturnType<typeof callCni>>> {
    const { executable } = this.#node;
    try {
      const answer = await callCni(executable, { command, containerId, netns });
      if (answer.json.code !== 11) this.#answers++;
      return answer;
    } catch {
      // The first agent has not put it there yet, or it was killed in the middle of an answer: no JSON.
      await sleep(10);
      return { code: 1, json: {} };
    }
  }

  #onDisk(): string[] {
    const files = readdirSync(this.#node.config.stateDir).filter((name) => name.endsWith('.json'));
    const wanted = [...this.#live.values()].map(({ addresses }) => `${addresses.join('_')}.json`);
    return compare('lease', files, wanted);
  }

  #inKernel(): string[] {
    using rt = RtNetlink.open(this.#node.ns);
    const links = rt.links().filter(({ name }) => isPodLink(name));
    const own = rt.routes({ table: 254, protocol: routeProtocol.podnet });
    const routes = own.filter(
      ({ destination: { address, length } }) => isPodAddress(address) && length === addressBits(address.family),
    );
    const neighbours = rt.neighbours().filter(({ address, state }) => isPodAddress(address) && state?.includes('permanent'));
    const addresses = [...this.#live.values()].flatMap((pod) => pod.addresses);
    // Endpoints of Services are in rules as long as the API names them.
    const named: readonly string[] = JSON.stringify(this.#node.objects).match(/10\.1\.0\.\d+/g) ?? [];
    const rules = JSON.stringify(nft(`${this.#node.directory}/node`, 'list', 'ruleset'));
    const inRules = (rules.match(/10\.1\.0\.\d+|fd01::[0-9a-f]+/g) ?? []).filter(
      (text) => !ofNobody.test(text) && !addresses.includes(text) && !named.includes(text),
    );
    return [
      ...(links.length === this.#live.size ? [] : [`the node has ${links.length} links of pods for ${this.#live.size} pods`]),
      ...compare(
        'route',
        routes.map(({ destination }) => String(destination.address)),
        addresses,
      ),
      ...compare(
        'neighbour',
        neighbours.map(({ address }) => String(address)),
        addresses,
      ),
      ...[...new Set(inRules)].map((address) => `${address} is in a rule or a set, and no pod has it`),
    ];
  }

  async #inAgent(): Promise<string[]> {
    const { attachments, problems, leases, reconciler } = await this.#node.ready();
    const used = leases.map((lease) => lease.used);
    const count = this.#live.size;
    return [
      ...problems,
      ...(attachments === count ? [] : [`the agent knows ${attachments} attachments of ${count}`]),
      ...(used.every((n) => n === count) ? [] : [`the agent counts ${used.join(' and ')} addresses in use for ${count} pods`]),
      ...(reconciler.error === 0 ? [] : [`${reconciler.error} of the agent's owners are in error`]),
    ];
  }

  /** What the pods have inside, and whether the node reaches them. */
  #inPods(): string[] {
    const path = `${this.#node.directory}/node`;
    return [...this.#live.values()].flatMap(({ netns, addresses }) => {
      using ns = NetNs.open(netns);
      using rt = RtNetlink.open(ns);
      const link = rt.link('eth0');
      const there = link ? rt.addresses({ link: link.index }).map(({ address }) => String(address)) : [];
      return [
        ...compare('address in the pod', there, addresses),
        ...addresses.flatMap((address) => {
          try {
            run(path, 'ping', '-c1', '-W5', address);
            return [];
          } catch {
            return [`the node does not reach ${address}`];
          }
        }),
      ];
    });
  }

  [Symbol.dispose](): void {
    for (const name of readdirSync(this.#pods)) NetNs.remove(`${this.#pods}/${name}`);
    rmSync(this.#pods, { recursive: true, force: true });
  }
}

const isPodAddress = (address: IpAddr): boolean => /^10\.1\.0\.|^fd01::/.test(String(address));
/** The network's own address and the gateway's. */
const ofNobody = /^10\.1\.0\.[01]$|^fd01::1$/;

const addressesIn = (json: Record<string, unknown>): string[] =>
  (json.ips as { address: string }[]).map(({ address }) => address.slice(0, address.indexOf('/')));

/** What is there and should not be, and the other way round; twice is too often. */
function compare(what: string, found: readonly string[], wanted: readonly string[]): string[] {
  const rest = [...found];
  const missing: string[] = [];
  for (const one of wanted) {
    const at = rest.indexOf(one);
    if (at < 0) missing.push(`the ${what} ${one} is missing`);
    else rest.splice(at, 1);
  }
  return [...missing, ...rest.map((one) => `the ${what} ${one} is left behind`)];
}
