import { readFileSync } from 'node:fs';
import { compileSoon } from '../../agent/process/compilation.ts';
import { goFirst } from '../../agent/process/priority.ts';
import { Nft } from '../../kernel/nftables/index.ts';
import { podGroup } from '../../links/pod-link.ts';
import { Prefix } from '../../net/prefix.ts';
import { type PolicyPlanNode, PolicyPlanner } from '../../policy/plan/index.ts';
import { Enforcer } from '../../policy/plan/testkit/enforcer.ts';
import type { AnyObject } from '../../policy/policies.ts';
import { NftWriter, Reconciler } from '../../reconcile/index.ts';
import { clusterCidr } from '../objects.ts';
import { nodeName } from './cluster.ts';
import { deletePolicy, feedObject } from './feed.ts';
import { planServices } from './policy-node.ts';

/** What this process is asked: to take an event, an object as JSON, or how much memory it has. */
export type Question = { event: 'set' | 'delete'; line: string } | { ask: 'memory' };

/** What a start took, in ms of the process. */
export interface Started {
  coldMs: number;
  planMs: number;
  kernelMs: number;
  elements: number;
  memory: Memory;
}

export interface Memory {
  rssMb: number;
  peakMb: number;
}

/** What an event took until the kernel held elements and epoch. */
export interface Taken {
  ms: number;
  planMs: number;
  operations: number;
}

function memory(): Memory {
  const status = readFileSync('/proc/self/status', 'latin1');
  const mb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)![1]) / 1024;
  return { rssMb: mb('VmRSS'), peakMb: mb('VmHWM') };
}

// As the agent does at its start.
goFirst();
compileSoon();
const node: PolicyPlanNode = { name: nodeName, podLinks: { group: podGroup }, podCidrs: [Prefix.parse(clusterCidr)] };
const reconciler = new Reconciler([new NftWriter(Nft.open())]);
planServices(reconciler);
const planner = new PolicyPlanner({ node, held: reconciler.observe() });
const enforcer = new Enforcer(planner, reconciler, node);
const begin = performance.now();
for (const line of readFileSync(process.argv[2]!, 'utf8').split('\n')) if (line !== '') feedObject(planner, JSON.parse(line) as AnyObject);
const read = performance.now();
const { planMs, operations } = enforcer.settle();
const started: Started = {
  ...{ coldMs: performance.now(), planMs: read - begin + planMs, kernelMs: performance.now() - read - planMs },
  ...{ elements: operations, memory: memory() },
};
process.send!(started);

function take(event: 'set' | 'delete', line: string): Taken {
  const start = performance.now();
  const object = JSON.parse(line) as AnyObject;
  if (event === 'set') feedObject(planner, object);
  else deletePolicy(planner, object);
  const fed = performance.now() - start;
  const settled = enforcer.settle();
  return { ms: performance.now() - start, planMs: fed + settled.planMs, operations: settled.operations };
}

process.on('message', (question: Question) => {
  process.send!('ask' in question ? memory() : take(question.event, question.line));
});
// Nobody is left to end it.
process.on('disconnect', () => process.exit());
