import type { IpAddr } from '../net/ip.ts';
import type { PlannedPort } from './planner.ts';

/** What is looked at of a conntrack entry: where it was opened to, and who answers. */
export interface ConntrackTuple {
  protocol: number;
  /** Destination of the original direction. */
  destination: IpAddr;
  destinationPort: number;
  /** Source of the reply direction: the endpoint. */
  replySource: IpAddr;
  replySourcePort: number;
}

const udp = 17;

/** What this node translated before: ports that Services had and have no longer (SD25 ii). */
export interface FormerPort {
  address: IpAddr;
  port: number;
}

/**
 * SD25: UDP entries that lead to an endpoint which no longer serves the Service they were opened to. UDP has no end of a connection, so such
 * a client would go on sending there for ever. Node ports count only at the node's own addresses.
 *
 * @param entries only those that were translated can be stale
 * @param nodePortAddresses where node ports answer
 * @param former addresses and ports of Services that are gone
 */
export function staleUdp<T extends ConntrackTuple>(
  entries: Iterable<T>,
  planned: Iterable<PlannedPort>,
  nodePortAddresses: readonly IpAddr[],
  former: Iterable<FormerPort> = [],
): T[] {
  const serving = new Map<string, ReadonlySet<string>>();
  const nothing: ReadonlySet<string> = new Set();
  for (const { address, port } of former) serving.set(`${address} ${port}`, nothing);
  for (const port of planned) {
    if (port.protocol !== 'udp') continue;
    const keys = new Set(port.serving.map((backend) => backend.key));
    serving.set(`${port.clusterIp} ${port.port}`, keys);
    if (port.nodePort === undefined) continue;
    for (const address of nodePortAddresses) if (address.family === port.family) serving.set(`${address} ${port.nodePort}`, keys);
  }
  const stale: T[] = [];
  for (const entry of entries) {
    if (entry.protocol !== udp) continue;
    const keys = serving.get(`${entry.destination} ${entry.destinationPort}`);
    // Not translated: answered by who it was sent to, e.g. by this node's own DNS.
    const translated = !entry.replySource.equals(entry.destination) || entry.replySourcePort !== entry.destinationPort;
    if (keys && translated && !keys.has(`${entry.replySource} . ${entry.replySourcePort}`)) stale.push(entry);
  }
  return stale;
}
