import { connect } from 'node:net';
import { type ApiServer, createApiServer } from '../apiserver/index.ts';
import { CertificateAuthority } from '../apiserver/pki/certificates.ts';
import { writeKubeconfig } from '../apiserver/pki/kubeconfig.ts';
import { ServiceAccountTokens } from '../apiserver/pki/tokens.ts';
import { servedResources } from '../apiserver/resources.ts';
import { bootstrap } from '../controllers/bootstrap.ts';
import { startControllers } from '../controllers/start.ts';
import { NetNs } from '../kernel/netns.ts';
import { listenTcp } from '../kernel/sockets.ts';
import { IpAddr } from '../net/ip.ts';
import type { LabConfig } from './config.ts';
import type { LabNames } from './names.ts';
import { clusterDnsIps, kubernetesServiceIps, type Topology } from './topology.ts';

/** Port of the API server on the underlay, as everywhere. */
export const apiPort = 6443;

const hostText = (address: IpAddr): string => (address.family === 'ipv6' ? `[${address}]` : `${address}`);

export interface ControlPlane {
  server: ApiServer;
  /** On the host's loopback. */
  port: number;
  /** Writes the credential of a node's processes, who reach the server over the underlay. */
  writeNodeKubeconfig(node: string): void;
  close(): Promise<void>;
}

/**
 * Starts the lab's API server and controllers. The server listens on the host's loopback for people, and on sockets born in the underlay's
 * namespace for nodes and pods; both ask for a client certificate or a token. The administrator's kubeconfig is written 0600.
 */
export async function startControlPlane(
  names: LabNames,
  config: LabConfig,
  topology: Topology,
  log: (text: string) => void,
): Promise<ControlPlane> {
  const authority = CertificateAuthority.create(`podnet lab ${config.name}`);
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
  using underlay = NetNs.open(names.underlay);
  for (const address of topology.apiAddresses)
    await server.listen({ fd: listenTcp(underlay, address, apiPort, { v6only: true }) });

  const write = (path: string, user: string, organizations: string[], url: string): void => {
    const credential = authority.issueClient({ commonName: user, organizations });
    writeKubeconfig(path, { cluster: `podnet-${config.name}`, user, server: url, ca: authority.certificate, credential });
  };
  write(names.kubeconfig, 'lab-admin', ['system:masters'], `https://${loopback}:${port}`);

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
    resources: servedResources,
    onError: (controller, key, error) => log(`${controller}: ${key}: ${error.message}`),
  });
  await controllers.ready;
  return {
    server,
    port,
    writeNodeKubeconfig(node) {
      write(
        names.node(node).kubeconfig,
        `system:node:${node}`,
        ['system:nodes'],
        `https://${hostText(topology.apiAddresses[0]!)}:${apiPort}`,
      );
    },
    async close() {
      controllers.stop();
      await server.close();
    },
  };
}
