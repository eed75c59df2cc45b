import type { PoolUse } from '../ipam/index.ts';
import type { OwnerStatus } from '../reconcile/owner-statuses.ts';
import { type Answer, serveHttp } from '../unix/http.ts';
import type { IpamReport } from './addresses/ipam-report.ts';
import type { DenialList } from './policy/denial-book.ts';
import type { PolicyStatus } from './policy/report.ts';
import type { ProgrammingStatus } from './services/programming-latency.ts';
import type { ServiceList, ServiceReport } from './services/report.ts';

/** What `GET /status` answers. */
export interface AgentStatus {
  node: string;
  families: readonly string[];
  /** Empty until the node has some. */
  podCidrs: string[];
  addresses: string[];
  /** What pods are given at ADD. */
  podMtu?: number;
  attach: string;
  /** Pods can be attached. */
  ready: boolean;
  /** Why not. */
  why?: string;
  /** Each kind of object that is watched: in sync, and why not. */
  sources: { kind: string; synced: boolean; objects: number; error?: string }[];
  reconciler: {
    pending: number;
    done: number;
    error: number;
    errors: { owner: string; why: string; sinceMs: number }[];
    /** Since the start. */
    syncs: number;
    fullChecks: number;
    operations: number;
    /** What others changed of podnet's own, as last seen. */
    lastDrift?: string;
  };
  attachments: number;
  leases: { prefix: string; used: number; free: number }[];
  /** Whether this node's own DNS answers; absent when it is not watched. */
  dnsAnswered?: boolean;
  /** Addresses of load balancers that this node answers ARP and ND for; absent when none are announced. */
  announced?: string[];
  staleUdpDeleted: number;
  /** How long changes of endpoints take to the kernel; absent until Services are known (SD29). */
  programming?: ProgrammingStatus;
  /** Packets that were dropped at the pods' door and at the tunnel's, by reason (`reasons` of the room door, `tunnelReasons` of routes). */
  door: Record<string, number>;
  policy: PolicyStatus;
  problems: string[];
  /** What may be meant so, what may happen, and leftovers of others. */
  warnings: string[];
  /** How often it was looked at what others do, how long that last took, and at which generation of nftables their rules were read. */
  foreign: { looks: number; lastLookMs: number; generation: number };
  memoryMb: number;
}

/** Owners by state, with the errors in words. */
export function summarize(
  statuses: ReadonlyMap<string, OwnerStatus>,
): Pick<AgentStatus['reconciler'], 'pending' | 'done' | 'error' | 'errors'> {
  const counts = { pending: 0, done: 0, error: 0, errors: [] as AgentStatus['reconciler']['errors'] };
  for (const [owner, status] of statuses) {
    counts[status.state]++;
    if (status.state === 'error') counts.errors.push({ owner, why: status.why, sinceMs: status.since });
  }
  return counts;
}

/** Told before ADD fails and before STATUS does, which takes the node out of service: it is full only when nothing is left. */
export const scarce = (pools: readonly PoolUse[]): string[] =>
  pools
    .filter(({ used, capacity }) => capacity - used < Math.max(3, capacity / 20))
    .map(
      ({ prefix, used, capacity }) =>
        `${capacity - used} of ${capacity} addresses are left in ${prefix}: give the node a larger pod CIDR`,
    );

/** F23. @param fault `Ipam.storageFault` */
export const unwritable = (fault: string | undefined): string[] =>
  fault === undefined
    ? []
    : [
        `no pod can be attached, leases cannot be written to ${fault}; free room on its disk, or make it writable. Pods that run are not affected`,
      ];

/** What a status socket answers from. */
export interface StatusParts {
  status: () => AgentStatus;
  ipam: () => IpamReport;
  /** Undefined before the agent knows the cluster. */
  services: () => Promise<ServiceList | undefined>;
  /** @param name `NAMESPACE/NAME`; undefined when there is no such Service */
  service: (name: string) => ServiceReport | undefined;
  /** What policies denied lately, of pods whose namespaces ask for it. */
  denials: () => DenialList;
}

/**
 * `/status`, `/ipam`, `/denials`, `/services` and `/services/NAMESPACE/NAME` (JSON), `/readyz` (200 or 503 with the reason) and `/livez` on a unix socket for root.
 */
export const serveStatus = (file: string, { status, ipam, services, service, denials }: StatusParts): Promise<AsyncDisposable> =>
  serveHttp(file, {
    '/status': () => ({ body: status() }),
    '/ipam': () => ({ body: ipam() }),
    '/services': async () => answered(await services(), 'the agent has not learned of Services yet', 503),
    '/services/': (name) => answered(service(name), `the agent knows no Service ${name}`, 404),
    '/denials': () => ({ body: denials() }),
    '/readyz': () => {
      const { ready, why } = status();
      return ready ? { body: 'ok' } : { code: 503, body: why ?? 'not ready' };
    },
    '/livez': () => ({ body: 'ok' }),
  });

const answered = (body: unknown, otherwise: string, code: number): Answer =>
  body === undefined ? { code, body: otherwise } : { body };
