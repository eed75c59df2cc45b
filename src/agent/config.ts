import type { Family } from '../net/ip.ts';

/** Configuration of a node's agent, as it stands in its file: JSON, all addresses and prefixes as text. */
export interface AgentConfig {
  nodeName: string;
  /** How to reach the API server; absent in a pod, where the service account says it. */
  kubeconfig?: string;
  /** The families that the cluster serves, primary first. */
  families: Family[];
  attach: 'routed' | 'bridge';
  backend: 'auto' | 'direct' | 'vxlan';
  vxlan: { id: number; port: number };
  /** Pod CIDRs of the cluster as a whole, one for each family: never masqueraded. */
  clusterCidrs: string[];
  serviceCidrs: string[];
  /** Addresses that this node's DNS answers on. */
  clusterDns: string[];
  /** Destinations that pods reach with their own address, beside pods, nodes and Services. */
  nonMasqueradeCidrs: string[];
  services?: {
    /** spec.externalIPs of Services within these are served; none are when it is empty or absent (SA17). */
    externalIpCidrs?: string[];
    /** Node ports answer on the node's addresses within these, e.g. 0.0.0.0/0; on its own address of each family when absent (SD14). Never on loopback. */
    nodePortCidrs?: string[];
    /** TCP port of `/healthz` and `/livez` for load balancers, on all addresses; 0 for none. Default 10256 (SD27). */
    healthPort?: number;
    /** Whether conntrack's limits are raised for the machine's cores, and its TCP timeouts, where they are the kernel's own, become kube-proxy's (SD28). Default true. */
    conntrackLimits?: boolean;
  };
  /** Where leases and attachments are kept. */
  stateDir: string;
  cni: {
    /** Name of the network in the configuration that the runtime reads. */
    network: string;
    /** Where the executable sends what it was asked. */
    socketPath: string;
    /** The executable is put here as `podnet`. */
    binDir: string;
    /** The conflist is put here once ADD can be served (CNI14). */
    confDir: string;
    /** DEL is answered when the link is deleted, not when it is out of service (which takes the kernel a tenth of the time). Default false. */
    waitForDeletion?: boolean;
    /** Where the plugin host-local keeps its leases, which are respected. Default /var/lib/cni/networks. */
    hostLocalDir?: string;
  };
  /** Unix socket of `GET /status` and `GET /ipam` (JSON) and `GET /readyz` (200 or 503). */
  statusSocket: string;
  /**
   * Nodes answer ARP and ND for the addresses of load balancers, where these lie in the prefix of the uplink. For clusters whose load balancers are
   * given such addresses, as the lab's are. Default false.
   */
  announceLoadBalancers?: boolean;
  /**
   * A firewall of others that drops what pods need is reported (`report`, the default), or podnet adds rules of its own, each with the comment `podnet`, where that firewall
   * asks others for their rules (`allow`): today Docker's chain DOCKER-USER. With `report` again, and with `podnet cni remove`, they go.
   */
  foreignFirewall?: 'report' | 'allow';
  /**
   * Bits of the conntrack mark (ct mark) in which podnet notes, while there are policies, that a connection was judged, as hexadecimal text: at least 16, one beside the
   * other. Others that keep marks of connections need others. Default "0xffffff00".
   */
  connmarkMask?: string;
  /**
   * What of a policy is not understood is said on it by one agent of the cluster: a condition, or Events (policy/status.ts). False where a controller does so, as in the lab.
   * Default true.
   */
  policyStatus?: boolean;
  /** The node's DNS says here whether it is ready (see src/dns/serve/health.ts); Services then leave its address alone. */
  dnsHealthSocket?: string;
}
