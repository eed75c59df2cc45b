import type { AgentConfig } from '../config.ts';

/** A whole configuration of a dual-stack node `me`, as its file has it. @param directory of its sockets and state */
export function agentConfig(directory = '/run/agent'): AgentConfig {
  return {
    ...{ nodeName: 'me', families: ['ipv4', 'ipv6'], attach: 'routed', backend: 'auto', vxlan: { id: 7, port: 4789 } },
    ...{ clusterCidrs: ['10.1.0.0/16', 'fd01::/48'], serviceCidrs: ['10.96.0.0/16', 'fd96::/112'] },
    ...{ clusterDns: ['10.96.0.10', 'fd96::a'], nonMasqueradeCidrs: [], stateDir: `${directory}/leases` },
    cni: {
      ...{ network: 'podnet', socketPath: `${directory}/cni.sock`, binDir: `${directory}/bin`, confDir: `${directory}/net.d` },
      hostLocalDir: `${directory}/host-local`,
    },
    statusSocket: `${directory}/status.sock`,
  };
}
