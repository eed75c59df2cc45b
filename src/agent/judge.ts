import { type Condition, whyNot } from './judgement.ts';
import type { NodeParts } from './node-parts.ts';
import { reducedProblems } from './node/reduced.ts';
import type { Settings } from './settings.ts';
import { scarce } from './status.ts';

/** What only the agent itself knows. */
export interface State {
  /** How often the kernel was written to. */
  syncs: number;
  /** Why this node's own facts are not known. */
  unknown: string | undefined;
  log: (line: string) => void;
}

/** Opens or shuts the gate of ADD, and tells the runtime of the network when it can be served (CNI14). */
export function judge(settings: Settings, node: NodeParts, state: State): void {
  const { problemLog, network, ipam, gate, foreigners, policies, networkConfig } = node;
  problemLog.tell('nodes', network.problems);
  problemLog.tell('kernel', reducedProblems(node.nftWriter.reduced));
  problemLog.tell('addresses', scarce(ipam.use()));
  const why = whyNot(conditionOf(settings, node, state));
  if (why !== gate.why) state.log(why === undefined ? 'pods can be attached' : `pods cannot be attached: ${why}`);
  gate.set(why);
  gate.setUnfit([foreigners.problems, policies.unfit ?? []].flat().join('; ') || undefined);
  if (why === undefined) networkConfig.announce();
}

function conditionOf({ nodeName, families }: Settings, node: NodeParts, { syncs, unknown }: State): Condition {
  const { sources, ipam, network, reconciler, gate } = node;
  return {
    synced: sources.isSynced,
    apiError: sources.describe().find((source) => source.error !== undefined)?.error,
    ...{ unknown, families, syncs },
    pools: ipam.use(),
    faults: sources.isSynced ? (sources.nodes.get(nodeName)?.faults ?? []) : [],
    clash: network.clash,
    status: (owner) => reconciler.status(owner),
    wasOpen: gate.wasOpen,
  };
}
