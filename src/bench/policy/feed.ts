import type { PolicyPlanner } from '../../policy/plan/index.ts';
import { type AnyObject, readPolicy } from '../../policy/policies.ts';
import { nodeOf, podOf } from '../../policy/read-world.ts';
import { labelsOfNamespace } from '../../policy/world.ts';

/** Gives the planner an object as an API has it. @throws Error for a kind that it does not take */
export function feedObject(planner: PolicyPlanner, object: AnyObject): void {
  const { kind, metadata } = object;
  if (kind === 'Pod') return planner.setPod(podOf(object as never));
  if (kind === 'Node') return planner.setNode(nodeOf(object as never));
  if (kind === 'Namespace') return planner.setNamespace(metadata.name!, labelsOfNamespace(metadata.name!, (metadata as { labels?: Record<string, string> }).labels));
  const policy = readPolicy(object);
  if (!policy) throw new Error(`${kind} ${metadata.name} is nothing that policies depend on`);
  planner.setPolicy(policy);
}

export function deletePolicy(planner: PolicyPlanner, object: AnyObject): void {
  const policy = readPolicy(object);
  if (!policy) throw new Error(`${object.kind} is no policy`);
  planner.deletePolicy(policy);
}

