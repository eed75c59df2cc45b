import { NetNs } from '../kernel/netns.ts';
import { KubeClient } from '../kube/client.ts';
import { NodeAgent } from './agent.ts';
import type { AgentConfig } from './config.ts';
import { compileSoon } from './process/compilation.ts';
import { goFirst } from './process/priority.ts';
import { parseSettings } from './settings.ts';
import type { AgentStatus } from './status.ts';

export interface Agent {
  status(): AgentStatus;
  /** Ends the agent; what it wrote to the kernel stays, so that pods go on. */
  close(): Promise<void>;
}

/**
 * Starts the agent of the node in whose network namespace this process lives.
 * @throws SyntaxError for a configuration that is wrong, IpamError when another agent has the leases, Error when a socket or file cannot be had;
 *   nothing is left open then
 */
export async function startAgent(config: AgentConfig): Promise<Agent> {
  const settings = parseSettings(config);
  goFirst();
  compileSoon();
  const userAgent = 'podnet-agent';
  const api = settings.kubeconfig
    ? KubeClient.fromKubeconfig(settings.kubeconfig, { userAgent })
    : KubeClient.inCluster({ userAgent });
  const log = (line: string): void => console.error(`${new Date().toISOString()} ${line}`);
  const agent = new NodeAgent(settings, { ns: NetNs.current(), api, log });
  const close = async (): Promise<void> => {
    await agent.close();
    api[Symbol.dispose]();
  };
  try {
    await agent.start();
  } catch (error) {
    // A socket that is left would keep the process alive, and let the runtime wait for an agent that never begins.
    await close();
    throw error;
  }
  return { status: () => agent.status(), close };
}
