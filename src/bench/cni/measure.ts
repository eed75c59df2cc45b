import { setTimeout as sleep } from 'node:timers/promises';
import { NetNs } from '../../kernel/netns.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { loadAverage } from '../machine.ts';
import { type CallCost, runCalls } from './calls.ts';
import type { Call, Contender, Pod } from './contender.ts';
import { Pods } from './pods.ts';

/** The calls of one contender in one round, one way. */
export interface Sample {
  contender: string;
  round: number;
  verb: 'ADD' | 'DEL';
  /** How many calls at once. */
  atOnce: number;
  /** Of each call, the whole of it. */
  ms: number[];
  /** On a core for each call: the programs, and the daemon's own if there is one. */
  cpuUs: number;
  loadAverage: number;
}

/** A contender and where it works. */
export interface Site {
  contender: Contender;
  /** The node's network namespace. */
  ns: NetNs;
}

export interface MeasureOptions {
  sites: readonly Site[];
  rounds: number;
  /** Pods of each contender, round and way. */
  pods: number;
  directory: string;
  signal: AbortSignal;
  onSamples(samples: readonly Sample[]): void;
}

const ways = [1, 10];
const warmUpStep = 200;
/** Between two contenders: the kernel takes the namespaces of the last one's pods apart in the background. */
const restMs = 300;

/** The contenders take turns, round by round, beginning with another one each time: a busy minute of the machine falls on all. */
export async function measure(options: MeasureOptions): Promise<Sample[]> {
  const { sites, rounds, signal } = options;
  const samples: Sample[] = [];
  for (const site of sites) samples.push(...(await warm(options, site)));
  for (let round = 1; round <= rounds; round++)
    for (let i = 0; i < sites.length; i++)
      for (const atOnce of ways) {
        const some = await one(options, sites[(i + round) % sites.length]!, round, atOnce);
        options.onSamples(some);
        samples.push(...some);
        await sleep(restMs);
        signal.throwIfAborted();
      }
  return samples;
}

/** @returns the first calls of those that have to become warm, as round 0 */
async function warm(options: MeasureOptions, site: Site): Promise<Sample[]> {
  // Round 0: told, and not counted.
  const first = await one(options, site, 0, 1);
  for (let done = options.pods; done < site.contender.warmUp; done += warmUpStep) {
    await one({ ...options, pods: warmUpStep }, site, 0, 1);
    options.signal.throwIfAborted();
  }
  return site.contender.warmUp > 0 ? first : [];
}

async function one(
  { pods: count, directory, signal }: MeasureOptions,
  site: Site,
  round: number,
  atOnce: number,
): Promise<Sample[]> {
  using pods = new Pods(directory, count);
  const add = await phase(site, pods.all, 'ADD', (pod) => site.contender.add(pod), { round, atOnce, signal });
  if (site.contender.attaches) verify(pods.all);
  const del = await phase(site, pods.all, 'DEL', (pod) => site.contender.delete(pod), { round, atOnce, signal });
  for (const end = performance.now() + 10_000; !site.contender.isIdle(); await sleep(10))
    if (performance.now() > end) throw new Error(`${site.contender.title} has not deleted all links 10 s after DEL`);
  return [add, del];
}

interface PhaseOptions {
  round: number;
  atOnce: number;
  signal: AbortSignal;
}

async function phase(
  { contender, ns }: Site,
  pods: readonly Pod[],
  verb: Sample['verb'],
  call: (pod: Pod) => Call,
  { round, atOnce, signal }: PhaseOptions,
): Promise<Sample> {
  const before = await contender.daemonCpuUs();
  const costs: CallCost[] = [];
  for (let i = 0; i < pods.length; i += atOnce) {
    costs.push(...runCalls(ns, pods.slice(i, i + atOnce).map(call)));
    // Lets a signal in.
    await new Promise(setImmediate);
    signal.throwIfAborted();
  }
  const cpu = costs.reduce((sum, { cpuUs }) => sum + cpuUs, (await contender.daemonCpuUs()) - before);
  const ms = costs.map((cost) => cost.ms);
  return { contender: contender.id, round, verb, atOnce, ms, cpuUs: cpu / pods.length, loadAverage: loadAverage() };
}

/** Each pod has the address that it was told, and no other pod has it. @throws Error */
export function verify(pods: readonly Pod[]): void {
  const seen = new Set<string>();
  for (const { netns, result } of pods) {
    const { ips } = result as { ips: { address: string }[] };
    using ns = NetNs.open(netns);
    using rt = RtNetlink.open(ns);
    const link = rt.link('eth0');
    const there = link?.up ? rt.addresses({ link: link.index }).map(({ address }) => String(address)) : [];
    for (const text of ips.map(({ address }) => address.slice(0, address.indexOf('/')))) {
      if (!there.includes(text)) throw new Error(`eth0 of a pod has ${there.join() || 'no address'} where ADD answered ${text}`);
      if (seen.has(text)) throw new Error(`${text} was given to two pods`);
      seen.add(text);
    }
  }
}
