import type { IpamReport } from '../agent/ipam-report.ts';
import type { ServiceList, ServiceReport } from '../agent/service-report.ts';
import type { AgentStatus } from '../agent/status.ts';
import type { RunnerPod } from '../runner/config.ts';
import { getJson } from '../unix/http.ts';

/** What the runner of a node says of its pods. @throws Error when it does not answer */
export const podsOf = (runnerSocket: string): Promise<RunnerPod[]> => getJson(runnerSocket, '/pods');

/** Who holds which address of a node. @throws Error when its agent does not answer */
export const ipamOf = (statusSocket: string): Promise<IpamReport> => getJson(statusSocket, '/ipam');

/** What the agent of a node says of itself. @throws Error when it does not answer */
export const agentStatusOf = (statusSocket: string): Promise<AgentStatus> => getJson(statusSocket, '/status');

/** A line for each Service as a node serves it. @throws Error when its agent does not answer */
export const servicesOf = (statusSocket: string): Promise<ServiceList> => getJson(statusSocket, '/services', 30_000);

/** One Service as clients of a node meet it. @throws AnswerError 404 when its agent knows none of the name, Error when it does not answer */
export const serviceOf = (statusSocket: string, namespace: string, name: string): Promise<ServiceReport> =>
  getJson(statusSocket, `/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, 30_000);
