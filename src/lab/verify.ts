import { existsSync } from 'node:fs';
import type { Api } from '../kube/api.ts';
import { Pods } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import type { RunnerPod } from '../runner/config.ts';
import { gatherPolicies, type Report, type VerifyInput, type VerifyPod, verify } from '../verify/index.ts';
import type { LabConfig } from './config.ts';
import { LabError } from './errors.ts';
import type { LabNames } from './names.ts';
import { podsOf } from './node-client.ts';
import { settledServices } from './settled.ts';
import { clusterDnsIps, topology } from './topology.ts';

/** What there is to be proven of a lab: its runners say where the pods are, the API what Services there are. */
export async function gatherLab(names: LabNames, config: LabConfig, api: Api): Promise<VerifyInput> {
  const plan = topology(config);
  const { services, slices } = await settledServices(api);
  const ended = new Set((await api.list(Pods)).items.filter(hasEnded).map(({ metadata }) => metadata.uid));
  const nodes = plan.nodes.map(({ name, interfaces }) => ({
    name,
    addresses: interfaces.map(({ address }) => address),
    netns: names.node(name).netns,
  }));
  const pods = await Promise.all(
    nodes.map(async ({ name: node }) =>
      (await podsOf(names.node(node).runnerSocket))
        .filter((pod) => pod.podIPs.length > 0 && !ended.has(pod.uid) && !isTakenDown(pod))
        .map((pod): VerifyPod => {
          const { namespace, name, netns, hostNetwork } = pod;
          return {
            namespace,
            name,
            node,
            netns,
            hostNetwork,
            ips: pod.podIPs.map(IpAddr.parse),
            containers: pod.containers.length,
          };
        }),
    ),
  );
  return {
    ...{ nodes, pods: pods.flat(), services, endpointSlices: slices },
    outside: { netns: names.outside, addresses: plan.outside.client.map(({ address }) => address) },
    ...{ clusterDns: clusterDnsIps(config), clusterDomain: config.clusterDomain, policies: await gatherPolicies(api) },
  };
}

/** Completed or failed for good: its sandbox goes, though the API goes on to tell its addresses. */
const hasEnded = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** The same as its runner sees it, who knows first. A pod that should run and has lost its namespace is none of these. */
const isTakenDown = ({ containers, netns }: RunnerPod): boolean =>
  containers.every(({ state }) => state === 'terminated') && !existsSync(netns);

const everything = {
  allPairsUpTo: Number.POSITIVE_INFINITY,
  servicesUpTo: Number.POSITIVE_INFINITY,
  connections: Number.POSITIVE_INFINITY,
};

/** How often a proof that failed is made anew because pods or Services changed meanwhile. */
const repeats = 3;

/**
 * Proves the network model of a running lab. A failure counts only when the pods and Services were the same before and after: one that ends while it is
 * asked is no fault of the network.
 * @throws LabError when its API or a node's runner does not answer
 */
export async function verifyLab(names: LabNames, config: LabConfig, api: Api, all = false): Promise<Report> {
  const gather = (): Promise<VerifyInput> =>
    gatherLab(names, config, api).catch((error: Error) => {
      throw new LabError(`cannot learn what there is to be proven: ${error.message}\n  See: podnet status --name ${names.lab}`, {
        cause: error,
      });
    });
  let input = await gather();
  for (let attempt = 1; ; attempt++) {
    const report = await verify(input, all ? { limits: everything } : {});
    if (report.ok || attempt > repeats) return report;
    const now = await gather();
    if (identityOf(now) === identityOf(input)) return report;
    input = now;
  }
}

/** What changes when pods or Services do. */
const identityOf = ({ pods, services, endpointSlices }: VerifyInput): string =>
  JSON.stringify([
    pods.map(({ netns, namespace, name, ips }) => [netns, namespace, name, ips.map(String)].join(' ')).toSorted(),
    [...services, ...endpointSlices].map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`).toSorted(),
  ]);
