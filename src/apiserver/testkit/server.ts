import { after, before } from 'node:test';
import type { Api } from '../../kube/api.ts';
import { KubeClient } from '../../kube/client.ts';
import { parseKubeconfig } from '../../kube/kubeconfig.ts';
import { Namespaces } from '../../kube/resources.ts';
import { IpAddr } from '../../net/ip.ts';
import { type ApiServer, type ApiServerOptions, createApiServer } from '../index.ts';
import { CertificateAuthority } from '../pki/certificates.ts';
import { kubeconfigText } from '../pki/kubeconfig.ts';
import { ServiceAccountTokens } from '../pki/tokens.ts';

const ca = CertificateAuthority.create('podnet-test');
const own = ca.issueServer('api', { dns: ['localhost'], ips: [IpAddr.parse('127.0.0.1')] });

/** For tests: a server on a free port of loopback, with the namespaces `default` and `kube-system`. */
export class TestServer implements AsyncDisposable {
  readonly api: ApiServer;
  readonly url: string;
  readonly log: string[];

  private constructor(api: ApiServer, url: string, log: string[]) {
    this.api = api;
    this.url = url;
    this.log = log;
  }

  static async start(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
    const log: string[] = [];
    const api = createApiServer({
      tls: { certificate: own.certificate, key: own.key, clientCa: ca.certificate },
      serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/108'],
      serviceAccountTokens: new ServiceAccountTokens('https://kubernetes.default.svc'),
      log: (text) => log.push(text),
      ...options,
    });
    const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
    for (const name of ['default', 'kube-system']) await api.localApi('test').create(Namespaces, { metadata: { name } });
    return new TestServer(api, `https://127.0.0.1:${port}`, log);
  }

  /** What a client of this user and these groups needs. */
  kubeconfig(commonName = 'admin', organizations: string[] = ['system:masters']): string {
    const credential = ca.issueClient({ commonName, organizations });
    return kubeconfigText({ cluster: 'test', user: commonName, server: this.url, ca: ca.certificate, credential });
  }

  tokenKubeconfig(token: string): string {
    return kubeconfigText({ cluster: 'test', user: 'token', server: this.url, ca: ca.certificate, credential: { token } });
  }

  client(kubeconfig: string = this.kubeconfig()): KubeClient {
    return new KubeClient(parseKubeconfig(kubeconfig, 'test'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.close();
  }
}

/** The API in process of a server that is there while the tests of the `describe` run in which this is called. */
export function apiForTests(): Api {
  let server: TestServer;
  let api: Api;
  before(async () => {
    server = await TestServer.start();
    api = server.api.localApi('test');
  });
  after(() => server[Symbol.asyncDispose]());
  return {
    get: (...of) => api.get(...of),
    list: (...of) => api.list(...of),
    create: (...of) => api.create(...of),
    update: (...of) => api.update(...of),
    patch: (...of) => api.patch(...of),
    delete: (...of) => api.delete(...of),
    watch: (...of) => api.watch(...of),
  };
}
