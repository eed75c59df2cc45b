import type { IpamReport } from '../agent/addresses/ipam-report.ts';
import type { DenialList } from '../agent/policy/denial-book.ts';
import type { ServiceList, ServiceReport } from '../agent/services/report.ts';
import type { AgentStatus } from '../agent/status.ts';
import type { ExplainRequest, Explanation } from '../dns/explain/explain.ts';
import type { LogEntry, LogFilter } from '../dns/monitoring/log-tap.ts';
import type { RunnerPod } from '../runner/config.ts';
import { getJson, readLines } from '../unix/http.ts';

/** What the runner of a node says of its pods. @throws Error when it does not answer */
export const podsOf = (runnerSocket: string): Promise<RunnerPod[]> => getJson(runnerSocket, '/pods');

/** Who holds which address of a node. @throws Error when its agent does not answer */
export const ipamOf = (statusSocket: string): Promise<IpamReport> => getJson(statusSocket, '/ipam');

/** What the agent of a node says of itself. @throws Error when it does not answer */
export const agentStatusOf = (statusSocket: string): Promise<AgentStatus> => getJson(statusSocket, '/status');

/** A line for each Service as a node serves it. @throws Error when its agent does not answer */
export const servicesOf = (statusSocket: string): Promise<ServiceList> => getJson(statusSocket, '/services', 30_000);

/** What policies denied lately on a node. @throws Error when its agent does not answer */
export const denialsOf = (statusSocket: string): Promise<DenialList> => getJson(statusSocket, '/denials');

/** One Service as clients of a node meet it. @throws AnswerError 404 when its agent knows none of the name, Error when it does not answer */
export const serviceOf = (statusSocket: string, namespace: string, name: string): Promise<ServiceReport> =>
  getJson(statusSocket, `/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, 30_000);

/** What a pod gets for a name. @throws AnswerError 404 when there is no such pod, 400 for what is no name; Error when the DNS process does not answer */
export const dnsExplanationOf = (healthSocket: string, request: ExplainRequest): Promise<Explanation> =>
  // Every name of a long search path may wait for resolvers.
  getJson(healthSocket, `/explain/${encodeURIComponent(JSON.stringify(request))}`, 120_000);

/** Questions and answers as they come, until `signal`. @throws Error when the DNS process does not answer */
export const dnsLogOf = (
  healthSocket: string,
  filter: LogFilter,
  onLine: (line: LogEntry | { dropped: number }) => void,
  signal: AbortSignal,
): Promise<void> => readLines(healthSocket, `/log/${encodeURIComponent(JSON.stringify(filter))}`, onLine, signal);
