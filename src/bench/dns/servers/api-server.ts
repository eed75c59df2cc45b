import { writeFileSync } from 'node:fs';
import { FakeServer } from '../../../kube/fake-server.ts';
import { listenTcp } from '../../../kernel/sockets.ts';
import { IpAddr } from '../../../net/ip.ts';
import { StreamApi } from '../../stream-api.ts';
import { jsonLines, writeLines } from '../../lines.ts';
import { namespaceObjects, podObjects, serviceObjects, sliceObjects } from '../cluster.ts';
import type { Place } from './server.ts';

/** An API server with the cluster's objects, in this process, listening in the servers' namespace. */
export class ApiServer implements AsyncDisposable {
  readonly api: StreamApi;
  readonly kubeconfig: string;
  readonly #server: FakeServer;

  private constructor(api: StreamApi, server: FakeServer, kubeconfig: string) {
    this.api = api;
    this.#server = server;
    this.kubeconfig = kubeconfig;
  }

  /** @param pods whether the pods behind the endpoints are told of */
  static async start({ ns, directory }: Place, services: number, pods: boolean): Promise<ApiServer> {
    const write = (plural: string, objects: Iterable<unknown>): [string, string] => [plural, writeLines(`${directory}/${plural}.json`, jsonLines(objects))];
    const files = new Map([
      write('namespaces', namespaceObjects()),
      write('services', serviceObjects(services)),
      write('endpointslices', sliceObjects(services)),
      write('pods', pods ? podObjects(services) : []),
    ]);
    const api = new StreamApi(files, () => {});
    const server = await FakeServer.listen(api, undefined, listenTcp(ns, IpAddr.parse('127.0.0.1'), 0));
    const kubeconfig = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'x' },
      clusters: [{ name: 'c', cluster: { server: server.url } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    };
    const path = `${directory}/kubeconfig`;
    writeFileSync(path, JSON.stringify(kubeconfig));
    return new ApiServer(api, server, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}
