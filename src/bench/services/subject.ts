import { readFileSync } from 'node:fs';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { NodeAgent } from '../../agent/agent.ts';
import type { AgentConfig } from '../../agent/config.ts';
import { compileSoon } from '../../agent/process/compilation.ts';
import { goFirst } from '../../agent/process/priority.ts';
import { parseSettings } from '../../agent/settings.ts';
import { NetNs } from '../../kernel/netns.ts';
import { EndpointSlices, Nodes, Services } from '../../kube/resources.ts';
import { nodeCidr, type Size } from '../objects.ts';
import { StreamApi } from '../stream-api.ts';
import { Changes, type MeasuredKind } from './changes.ts';
import { type Spent, Stopwatch } from './stopwatch.ts';

/** argv[2], as JSON. */
export interface SubjectOptions {
  config: AgentConfig;
  /** Of the node. */
  address: string;
  size: Size;
  /** Lines of JSON. */
  services: string;
  slices: string;
}

/** What the agent's start took. */
export interface Started {
  /** From the start of the process, and from the first list, until the kernel held everything. */
  coldMs: number;
  listMs: number;
  spent: Spent;
  cpuMs: number;
  memory: Memory;
}

export interface Memory {
  rssMb: number;
  peakMb: number;
  heapMb: number;
}

/** One event, from when the agent's watch delivered it until the kernel held it. */
export interface Timed extends Spent {
  ms: number;
}

/** Changes of one kind: each after a pause, and one right after the other. */
export interface ChangesTimed {
  timed: Timed[];
  /** Of each that came right after another, microseconds inside of its system calls: what the kernel does for it when it need not fetch all of it from memory first. */
  inARowUs: number[];
}

export type Question = { ask: 'changes'; kind: MeasuredKind; count: number } | { ask: 'memory' } | { ask: 'check' };

// As the agent does at its start.
goFirst();
compileSoon();
const options = JSON.parse(process.argv[2]!) as SubjectOptions;
const { config, size } = options;
/** Of this process, on the clock of performance.now(). */
const watch = new Stopwatch();
let listedAt: number | undefined;
const api = new StreamApi(
  new Map([
    ['services', options.services],
    ['endpointslices', options.slices],
  ]),
  () => void (listedAt ??= performance.now()),
);

function memory(): Memory {
  const status = readFileSync('/proc/self/status', 'latin1');
  const mb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)![1]) / 1024;
  return { rssMb: mb('VmRSS'), peakMb: mb('VmHWM'), heapMb: process.memoryUsage().heapUsed / 2 ** 20 };
}

await api.create(Nodes, {
  metadata: { name: config.nodeName },
  spec: { podCIDR: nodeCidr, podCIDRs: [nodeCidr] },
  status: { addresses: [{ type: 'InternalIP', address: options.address }] },
});
const agent = new NodeAgent(parseSettings(config), { ns: NetNs.current(), api, log: (line) => console.error(line) });
await agent.start();
// Every sync is looked at until one has written the Services: the first ones may be of the node alone.
for (;;) {
  const { operations, failures } = await watch.nextSync();
  if (failures.length > 0) throw failures[0]!.error;
  if (operations.some(({ key }) => key.startsWith('nft-element service-ips4'))) break;
}
const programmedAt = performance.now();
const { user, system } = process.cpuUsage();
const started: Started = {
  coldMs: programmedAt,
  listMs: programmedAt - listedAt!,
  spent: watch.spent,
  cpuMs: (user + system) / 1000,
  memory: memory(),
};
process.send!(started);

const changes = new Changes(size);
/** The runner gathers for 10 ms what comes at once: so events do not wait for one another. */
const betweenMs = 15;

/** One change, and the way back. */
async function one(kind: MeasuredKind): Promise<Timed[]> {
  const timed: Timed[] = [];
  for (const { resource, type, line, isMeasured } of changes.next(kind)) {
    await sleep(betweenMs);
    watch.reset();
    const synced = watch.nextSync();
    const begin = performance.now();
    api.emit({ Service: Services, EndpointSlice: EndpointSlices }[resource], type, line);
    // Endpoints without a Service are nothing to write.
    if (!isMeasured) {
      await Promise.race([synced, sleep(2 * betweenMs)]);
      continue;
    }
    const { failures } = await synced;
    const ms = performance.now() - begin;
    if (failures.length > 0) throw failures[0]!.error;
    timed.push({ ms, ...watch.spent });
  }
  return timed;
}

/** The same, written at once. */
async function oneInARow(kind: MeasuredKind): Promise<number[]> {
  const all: number[] = [];
  for (const { resource, type, line, isMeasured } of changes.next(kind)) {
    watch.reset();
    api.emit({ Service: Services, EndpointSlice: EndpointSlices }[resource], type, line);
    await turn();
    watch.write();
    const { transactions, kernelUs } = watch.spent;
    if (isMeasured && transactions > 0) all.push(kernelUs / transactions);
  }
  return all;
}

async function answer(question: Question): Promise<unknown> {
  switch (question.ask) {
    case 'changes': {
      const { kind, count } = question;
      const all: ChangesTimed = { timed: [], inARowUs: [] };
      while (all.timed.length < count) all.timed.push(...(await one(kind)));
      while (all.inARowUs.length < count) all.inARowUs.push(...(await oneInARow(kind)));
      return all;
    }
    case 'memory':
      // Only where node was started with --expose-gc: what is alive, for whoever looks for what takes memory.
      (globalThis as { gc?: () => void }).gc?.();
      return memory();
    case 'check': {
      // The full check: the kernel is read and everything compared.
      watch.reset();
      watch.readEverything();
      const synced = watch.nextSync();
      const begin = performance.now();
      await synced;
      return performance.now() - begin;
    }
  }
}

process.on('message', (question: Question) => {
  answer(question).then(
    (result) => process.send!({ result }),
    (error: Error) => {
      console.error(error.stack);
      process.exit(1);
    },
  );
});
// Nobody is left to end it.
process.on('disconnect', () => process.exit());
