import type { Api } from '../kube/api.ts';
import { IpAddr } from '../net/ip.ts';
import { type Report, type VerifyInput, type VerifyPod, verify } from '../verify/index.ts';
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
  const nodes = plan.nodes.map(({ name, interfaces }) => ({
    name,
    addresses: interfaces.map(({ address }) => address),
    netns: names.node(name).netns,
  }));
  const pods = await Promise.all(
    nodes.map(async ({ name: node }) =>
      (await podsOf(names.node(node).runnerSocket))
        .filter(({ podIPs }) => podIPs.length > 0)
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
    ...{ clusterDns: clusterDnsIps(config), clusterDomain: config.clusterDomain },
  };
}

const everything = {
  allPairsUpTo: Number.POSITIVE_INFINITY,
  servicesUpTo: Number.POSITIVE_INFINITY,
  connections: Number.POSITIVE_INFINITY,
};

/** Proves the network model of a running lab. @throws LabError when its API or a node's runner does not answer */
export async function verifyLab(names: LabNames, config: LabConfig, api: Api, all = false): Promise<Report> {
  const input = await gatherLab(names, config, api).catch((error: Error) => {
    throw new LabError(`cannot learn what there is to be proven: ${error.message}\n  See: podnet status --name ${names.lab}`, {
      cause: error,
    });
  });
  return verify(input, all ? { limits: everything } : {});
}
