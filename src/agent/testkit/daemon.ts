import { NetNs } from '../../kernel/netns.ts';
import type { KubeObject } from '../../kube/api.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Nodes, resourceOfKind } from '../../kube/resources.ts';
import { NodeAgent } from '../agent.ts';
import type { AgentConfig } from '../config.ts';
import { compileSoon } from '../process/compilation.ts';
import { goFirst } from '../process/priority.ts';
import { parseSettings } from '../settings.ts';

/** argv[2], as JSON. */
export interface DaemonOptions {
  config: AgentConfig;
  /** Of the node itself, the only one. */
  addresses: readonly string[];
  podCidrs: readonly string[];
  /** What else is in its API, with apiVersion and kind. */
  objects?: readonly KubeObject[];
}

/** What the parent asks by IPC, by number; the answer carries the number. */
export type DaemonQuestion = { id: number; ask: 'status' | 'usage' | 'memory' };

// An agent in a process of its own, in the network namespace that it was started in. Its API is a model in the same process.
goFirst();
compileSoon();
const options = JSON.parse(process.argv[2]!) as DaemonOptions;
const { config, podCidrs } = options;
const api = new FakeApi();
await api.create(Nodes, {
  metadata: { name: config.nodeName },
  spec: { podCIDR: podCidrs[0]!, podCIDRs: [...podCidrs] },
  status: { addresses: options.addresses.map((address) => ({ type: 'InternalIP', address })) },
});
for (const object of options.objects ?? []) await api.create(resourceOfKind(object.apiVersion!, object.kind!)!, object);
const agent = new NodeAgent(parseSettings(config), { ns: NetNs.current(), api, log: (line) => console.error(line) });
await agent.start();

process.on('message', ({ id, ask }: DaemonQuestion) => {
  const answer = {
    status: () => agent.status(),
    // Microseconds of all threads, also of those that are gone.
    usage: () => process.cpuUsage(),
    memory: () => {
      (globalThis as { gc?: () => void }).gc?.();
      return process.memoryUsage();
    },
  }[ask];
  process.send!({ id, answer: answer() });
});
// Nobody is left to end it.
process.on('disconnect', () => process.exit());
