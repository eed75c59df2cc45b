import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { Api } from '../kube/api.ts';
import { ServiceCIDRs } from '../kube/resources.ts';
import { Prefix } from '../net/prefix.ts';
import { Authenticator } from './auth/authenticate.ts';
import { Authorizer } from './auth/authorize.ts';
import { mastersGroup, type User } from './auth/user.ts';
import type { Context } from './context.ts';
import { LocalApi } from './local-api.ts';
import { stored } from './object.ts';
import type { ServiceAccountTokens } from './pki/tokens.ts';
import type { PortRange } from './registry/port-allocator.ts';
import { Registry } from './registry/registry.ts';
import { ServiceAllocators } from './registry/service-allocators.ts';
import { serverServiceCidr } from './registry/service-ips.ts';
import { servedResources } from './resources.ts';
import { Front } from './rest/front.ts';
import type { DialNode } from './rest/node-streams.ts';
import { loadSchema, type Schema } from './schema/index.ts';
import { OpenApi } from './schema/openapi.ts';
import { Store } from './store/store.ts';


export interface ApiServerOptions {
  tls: {
    /** PEM: the server's own. */
    certificate: string;
    key: string;
    /** PEM of the CA whose client certificates are believed. */
    clientCa: string;
  };
  /** One for each IP family, primary first. */
  serviceCidrs: readonly string[];
  /** 30000-32767 unless said. */
  nodePortRange?: PortRange;
  /** Signs and checks the tokens of service accounts; without it there are none. */
  serviceAccountTokens?: ServiceAccountTokens;
  /** Bearer tokens made by the lab, and whose they are. */
  tokens?: ReadonlyMap<string, User>;
  /** Opens a connection to a node's runner, for logs, exec, attach and portforward. */
  dialNode?: DialNode;
  schema?: Schema;
  /** Milliseconds since 1970. */
  now?: () => number;
  log?: (text: string) => void;
  /** The resourceVersion before the first write; the present time in milliseconds unless said, so that an earlier life's are all older. */
  firstVersion?: number;
  /** At least so many changes of each resource can be watched from the past. */
  history?: number;
}

export type ListenOptions = { host: string; port: number } | { fd: number };

/** The embedded Kubernetes API. Its state is in memory only: it is gone when the process is. */
export interface ApiServer {
  /** Serves on one more socket, with TLS. The port is the one that was given or found. */
  listen(options: ListenOptions): Promise<{ server: Server; port: number }>;
  /** The API without a network, as `identity` (a member of system:masters unless its groups say otherwise matters not: everything is allowed). */
  localApi(identity?: string): Api;
  /** For status and tests. */
  readonly store: Store;
  close(): Promise<void>;
}

export function createApiServer(options: ApiServerOptions): ApiServer {
  const now = options.now ?? Date.now;
  const log = options.log ?? ((): void => {});
  const schema = options.schema ?? loadSchema();
  const cidrs = options.serviceCidrs.map((cidr) => Prefix.parse(cidr));
  const store = new Store({ firstVersion: options.firstVersion ?? now(), history: options.history });
  const services = new ServiceAllocators(store, cidrs, options.nodePortRange ?? { first: 30000, last: 32767 });
  const context: Context = {
    store,
    registry: new Registry(schema, { store, services, now }),
    authenticator: new Authenticator({ store, serviceAccounts: options.serviceAccountTokens, tokens: options.tokens, now }),
    authorizer: new Authorizer(store),
    openApi: new OpenApi(schema, servedResources),
    tokens: options.serviceAccountTokens,
    dialNode: options.dialNode ?? (async (node) => Promise.reject(new Error(`nobody knows how to reach node ${node}`))),
    now,
    log,
  };
  store.put(ServiceCIDRs, stored(serverServiceCidr(cidrs, now())));
  const front = new Front(context);
  const servers: Server[] = [];
  log('API state is memory only');
  return {
    store,
    async listen(where) {
      const { certificate, key, clientCa } = options.tls;
      const server = createServer({
        cert: certificate,
        key,
        ca: clientCa,
        requestCert: true,
        // Tokens are credentials too, so a certificate is no must; one of another CA is nobody's.
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
        minVersion: 'TLSv1.2',
      });
      front.attach(server);
      server.on('tlsClientError', (error, socket) => {
        // Whoever only knocks is not worth a line.
        if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') log(`TLS: ${error.message}`);
        socket.destroy();
      });
      servers.push(server);
      server.listen(where);
      await once(server, 'listening');
      const address = server.address();
      return { server, port: typeof address === 'object' && address ? address.port : 0 };
    },
    localApi: (identity = 'podnet') => new LocalApi(context, { name: identity, groups: [mastersGroup] }),
    async close() {
      front.close();
      await Promise.all(
        servers.map((server) => {
          const closed = once(server, 'close');
          server.close();
          server.closeAllConnections();
          return closed;
        }),
      );
    },
  };
}
