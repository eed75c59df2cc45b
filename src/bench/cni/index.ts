import { mkdirSync } from 'node:fs';
import { killStorm, type StormReport } from '../../agent/testkit/kill-storm.ts';
import { ProcessNode, type ProcessNodeOptions } from '../../agent/testkit/process-node.ts';
import { NetNs } from '../../kernel/netns.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { thisMachine } from '../machine.ts';
import { withScratch } from '../scratch.ts';
import { spreadOf } from '../stats.ts';
import { GoChain } from './go-chain.ts';
import { attachMany, type ManySample } from './many.ts';
import { measure, type Sample, type Site } from './measure.ts';
import { Nothing } from './nothing.ts';
import { Podnet } from './podnet.ts';
import { reportOf, textOf } from './report.ts';

export interface CniBenchOptions {
  rounds: number;
  /** Pods of each contender in each round, one at a time and as many ten at once. */
  pods: number;
  /** How many pods are attached on one node in the end; 0 leaves it out. */
  many: number;
  /** Kills of the agent; 0 leaves them out. */
  kills: number;
  output: 'table' | 'json';
}

/** `npm run bench -- cni`. @returns whether every budget was met */
export function benchCni({ rounds, pods, many, kills, output }: CniBenchOptions): Promise<boolean> {
  return withScratch(async ({ directory, signal }) => {
    const { titles, samples } = await calls({ rounds, pods, directory, signal });
    const manySample = many === 0 ? undefined : await manyPods(many, directory, signal);
    const storm = kills === 0 ? undefined : await kill(kills, directory, signal);
    const report = reportOf({ machine: thisMachine(), titles, samples, many: manySample, storm });
    console.log(output === 'json' ? JSON.stringify(report, undefined, 2) : `\n${textOf(report)}`);
    return report.ok;
  });
}

interface CallsOptions {
  rounds: number;
  pods: number;
  directory: string;
  signal: AbortSignal;
}

async function calls({
  rounds,
  pods,
  directory,
  signal,
}: CallsOptions): Promise<{ titles: Map<string, string>; samples: Sample[] }> {
  const nodes: ProcessNode[] = [];
  const namespaces: NetNs[] = [];
  const site = (name: string): NetNs => {
    const ns = NetNs.create(`${directory}/${name}`);
    namespaces.push(ns);
    using rt = RtNetlink.open(ns);
    rt.setLink(1, { up: true });
    return ns;
  };
  mkdirSync(`${directory}/pods`);
  try {
    const sites = await makeSites(directory, site, nodes);
    const samples = await measure({ sites, rounds, pods, directory: `${directory}/pods`, signal, onSamples: tell });
    return { titles: new Map(sites.map(({ contender: { id, title } }) => [id, title])), samples };
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]();
    for (const ns of namespaces) {
      ns[Symbol.dispose]();
      NetNs.remove(ns.name);
    }
  }
}

/** @param nodes of podnet, to be disposed of */
async function makeSites(directory: string, site: (name: string) => NetNs, nodes: ProcessNode[]): Promise<Site[]> {
  const sites: Site[] = ['bookworm', 'sid'].map((suite) => ({
    contender: new GoChain(suite, `${directory}/state-${suite}`, '10.1.0.0/22'),
    ns: site(suite),
  }));
  const podnets = [
    ['podnet', 'podnet', {}],
    ['podnet-wait', 'podnet, DEL with deletion', { waitForDeletion: true }],
    ['podnet-bridge', 'podnet, bridge', { attach: 'bridge' }],
  ] as const satisfies readonly (readonly [string, string, ProcessNodeOptions])[];
  for (const [id, title, options] of podnets) {
    const node = new ProcessNode(`${directory}/${id}`, options);
    nodes.push(node);
    await node.start();
    await node.ready();
    sites.push({ contender: new Podnet(id, title, node), ns: node.ns });
  }
  sites.push({ contender: new Nothing(directory), ns: site('nobody') });
  return sites;
}

async function manyPods(count: number, directory: string, signal: AbortSignal): Promise<ManySample> {
  console.error(`${count} pods on one node`);
  await using node = new ProcessNode(`${directory}/many`, { podCidrs: ['10.1.0.0/20'], execArgv: ['--expose-gc'] });
  await node.start();
  await node.ready();
  mkdirSync(`${directory}/many/pods`);
  return await attachMany(new Podnet('podnet', 'podnet', node), count, `${directory}/many/pods`, signal);
}

async function kill(kills: number, directory: string, signal: AbortSignal): Promise<StormReport> {
  console.error(`${kills} kills of the agent during a storm of ADD and DEL`);
  await using node = new ProcessNode(`${directory}/storm`, { podCidrs: ['10.1.0.0/24', 'fd01::/64'] });
  return await killStorm(node, { kills, signal });
}

/** Progress goes to stderr: stdout is the result's. */
function tell(samples: readonly Sample[]): void {
  for (const { contender, round, verb, atOnce, ms, cpuUs, loadAverage } of samples) {
    const what = `${contender.padEnd(14)} ${verb}, ${String(atOnce).padStart(2)} at once`;
    const { median, most } = spreadOf(ms);
    const times = `${median.toFixed(2)} ms, at most ${most.toFixed(2)}, CPU ${(cpuUs / 1000).toFixed(2)} ms`;
    console.error(`round ${round}: ${what} ${times}, load average ${loadAverage.toFixed(1)}`);
  }
}
