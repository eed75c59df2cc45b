import { CertificateAuthority } from '../apiserver/pki/certificates.ts';
import { writeKubeconfig } from '../apiserver/pki/kubeconfig.ts';
import { NetNs } from '../kernel/netns.ts';
import { listenTcp } from '../kernel/sockets.ts';
import { IpAddr } from '../net/ip.ts';
import type { LabConfig } from './config.ts';
import type { LabNames } from './names.ts';
import type { Topology } from './topology.ts';

/** Port of the API server on the underlay, as everywhere. */
export const apiPort = 6443;

const hostText = (address: IpAddr): string => (address.family === 'ipv6' ? `[${address}]` : `${address}`);

/**
 * What clients need of the API server: its sockets on the underlay and a credential. Both are there before the server is, so that the nodes'
 * processes start beside it: whoever connects early waits in the socket's queue.
 */
export class ApiEndpoint {
  readonly authority: CertificateAuthority;
  /** Listening, born in the underlay's namespace, one for each family. */
  readonly sockets: readonly number[];
  readonly #names: LabNames;
  readonly #lab: string;
  readonly #nodeUrl: string;

  constructor(names: LabNames, config: LabConfig, topology: Topology) {
    this.#names = names;
    this.#lab = config.name;
    this.#nodeUrl = `https://${hostText(topology.apiAddresses[0]!)}:${apiPort}`;
    this.authority = CertificateAuthority.create(`podnet lab ${config.name}`);
    using underlay = NetNs.open(names.underlay);
    this.sockets = topology.apiAddresses.map((address) => listenTcp(underlay, address, apiPort, { v6only: true }));
  }

  /** The administrator's, 0600. @param port of the server on the host's loopback */
  writeAdminKubeconfig(port: number): void {
    this.#write(this.#names.kubeconfig, 'lab-admin', ['system:masters'], `https://127.0.0.1:${port}`);
  }

  /** That of a node's processes, who reach the server over the underlay. */
  writeNodeKubeconfig(node: string): void {
    this.#write(this.#names.node(node).kubeconfig, `system:node:${node}`, ['system:nodes'], this.#nodeUrl);
  }

  #write(path: string, user: string, organizations: string[], server: string): void {
    const credential = this.authority.issueClient({ commonName: user, organizations });
    writeKubeconfig(path, { cluster: `podnet-${this.#lab}`, user, server, ca: this.authority.certificate, credential });
  }
}
