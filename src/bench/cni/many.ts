import { readFileSync } from 'node:fs';
import { runCalls } from './calls.ts';
import { verify } from './measure.ts';
import type { Podnet } from './podnet.ts';
import { Pods } from './pods.ts';

/** A thousand pods attached on one node, one after the other, and then deleted, ten at once. */
export interface ManySample {
  pods: number;
  /** ADD of each, in order. */
  addMs: number[];
  deleteMs: number[];
  /** Resident memory of the agent before and after, and what of it is JavaScript's, after a collection. */
  memoryBefore: AgentMemory;
  memoryAfter: AgentMemory;
}

export interface AgentMemory {
  rssBytes: number;
  pssBytes: number;
  heapBytes: number;
}

const warmUpStep = 100;

export async function attachMany(podnet: Podnet, count: number, directory: string, signal: AbortSignal): Promise<ManySample> {
  const { node } = podnet;
  {
    // Warm: otherwise the first hundred would be slow, and the last look good.
    for (let done = 0; done < podnet.warmUp; done += warmUpStep) {
      using pods = new Pods(directory, warmUpStep);
      for (const pod of pods.all) runCalls(node.ns, [podnet.add(pod)]);
      for (const pod of pods.all) runCalls(node.ns, [podnet.delete(pod)]);
      while (!podnet.isIdle()) await new Promise((resolve) => setTimeout(resolve, 50));
      signal.throwIfAborted();
    }
  }
  const memoryBefore = await memoryOf(podnet);
  using pods = new Pods(directory, count);
  const addMs: number[] = [];
  for (const pod of pods.all) {
    addMs.push(...runCalls(node.ns, [podnet.add(pod)]).map(({ ms }) => ms));
    await new Promise(setImmediate);
    signal.throwIfAborted();
  }
  verify(pods.all);
  const memoryAfter = await memoryOf(podnet);
  const deleteMs: number[] = [];
  for (let i = 0; i < count; i += 10) {
    const calls = pods.all.slice(i, i + 10).map((pod) => podnet.delete(pod));
    deleteMs.push(...runCalls(node.ns, calls).map(({ ms }) => ms));
    await new Promise(setImmediate);
    signal.throwIfAborted();
  }
  return { pods: count, addMs, deleteMs, memoryBefore, memoryAfter };
}

async function memoryOf({ node }: Podnet): Promise<AgentMemory> {
  const { rss, heapUsed } = (await node.ask('memory')) as NodeJS.MemoryUsage;
  const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${node.pid}/smaps_rollup`, 'latin1'))?.[1];
  return { rssBytes: rss, pssBytes: Number(pss) * 1024, heapBytes: heapUsed };
}
