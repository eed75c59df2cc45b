import { connect } from 'node:net';
import { type ApiServer, createApiServer } from '../apiserver/index.ts';
import { ServiceAccountTokens } from '../apiserver/pki/tokens.ts';
import { servedResources } from '../apiserver/resources.ts';
import { bootstrap } from '../controllers/bootstrap.ts';
import { startControllers } from '../controllers/start.ts';
import { IpAddr } from '../net/ip.ts';
import { type ApiEndpoint, apiPort } from './api-endpoint.ts';
import type { LabConfig } from './config.ts';
import type { LabNames } from './names.ts';
import { clusterDnsIps, kubernetesServiceIps, type Topology } from './topology.ts';

export interface ControlPlane {
  server: ApiServer;
  /** On the host's loopback. */
  port: number;
  close(): Promise<void>;
}

/**
 * Starts the lab's API server and controllers. The server listens on the host's loopback for people, and on the endpoint's sockets in the
 * underlay's namespace for nodes and pods; both ask for a client certificate or a token. The administrator's kubeconfig is written. Nodes are
 * served last: what every cluster has is there by then.
 */
export async function startControlPlane(
  names: LabNames,
  config: LabConfig,
  topology: Topology,
  endpoint: ApiEndpoint,
  log: (text: string) => void,
): Promise<ControlPlane> {
  const { authority } = endpoint;
  const loopback = IpAddr.parse('127.0.0.1');
  const own = authority.issueServer('kube-apiserver', {
    dns: [
      'localhost',
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      `kubernetes.default.svc.${config.clusterDomain}`,
    ],
    ips: [loopback, IpAddr.parse('::1'), ...topology.apiAddresses, ...kubernetesServiceIps(config)],
  });
  const server = createApiServer({
    tls: { certificate: own.certificate, key: own.key, clientCa: authority.certificate },
    serviceCidrs: config.serviceCidrs,
    serviceAccountTokens: new ServiceAccountTokens(`https://kubernetes.default.svc.${config.clusterDomain}`),
    dialNode: async (node) => connect(names.node(node).runnerSocket),
    log,
  });
  const { port } = await server.listen({ host: String(loopback), port: 0 });
  endpoint.writeAdminKubeconfig(port);

  const api = server.localApi();
  await bootstrap(api, {
    serviceCidrs: config.serviceCidrs,
    apiAddresses: topology.apiAddresses.map(String),
    apiPort,
    dnsAddresses: clusterDnsIps(config).map(String),
  });
  const controllers = startControllers(api, {
    podCidrs: config.podCidrs,
    serviceCidrs: config.serviceCidrs,
    caCertificate: authority.certificate,
    ...(config.loadBalancerPools.length > 0 ? { loadBalancer: { pools: config.loadBalancerPools } } : {}),
    serviceIps: true,
    resources: servedResources,
    onError: (controller, key, error) => log(`${controller}: ${key}: ${error.message}`),
  });
  await controllers.ready;
  for (const fd of endpoint.sockets) await server.listen({ fd });
  return {
    server,
    port,
    async close() {
      controllers.stop();
      await server.close();
    },
  };
}
