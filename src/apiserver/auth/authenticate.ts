import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ServiceAccounts } from '../../kube/resources.ts';
import { type ServiceAccountTokens, TokenError } from '../pki/tokens.ts';
import type { Store } from '../store/store.ts';
import { authenticatedGroup, type User } from './user.ts';

export interface AuthenticationOptions {
  store: Store;
  serviceAccounts?: ServiceAccountTokens;
  /** Bearer tokens made by the lab. */
  tokens?: ReadonlyMap<string, User>;
  now(): number;
}

/** Finds out who asks: a client certificate of our CA (CN is the user, O the groups) or a bearer token. */
export class Authenticator {
  readonly #options: AuthenticationOptions;
  /** A connection's certificate does not change. */
  readonly #bySocket = new WeakMap<object, User | undefined>();

  constructor(options: AuthenticationOptions) {
    this.#options = options;
  }

  /** undefined: 401 */
  authenticate(request: IncomingMessage): User | undefined {
    const header = request.headers.authorization;
    if (header !== undefined) {
      const token = /^Bearer (\S+)$/i.exec(header)?.[1];
      return token === undefined ? undefined : this.byToken(token);
    }
    const { socket } = request;
    if (!this.#bySocket.has(socket)) this.#bySocket.set(socket, byCertificate(socket as TLSSocket));
    return this.#bySocket.get(socket);
  }

  byToken(token: string): User | undefined {
    const known = this.#options.tokens?.get(token);
    if (known) return { ...known, groups: [...known.groups, authenticatedGroup] };
    const { serviceAccounts, store, now } = this.#options;
    if (!serviceAccounts) return undefined;
    try {
      const claims = serviceAccounts.verify(token, { nowMs: now() });
      const account = store.get(ServiceAccounts, claims.namespace, claims.serviceAccount);
      // The token dies with the account, not with its name.
      if (account?.object.metadata.uid !== claims.uid) return undefined;
      return {
        name: claims.username,
        uid: claims.uid,
        groups: claims.groups,
        extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.id}`] },
      };
    } catch (error) {
      if (error instanceof TokenError || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}

function byCertificate(socket: TLSSocket): User | undefined {
  if (!socket.authorized || typeof socket.getPeerCertificate !== 'function') return undefined;
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string; O?: string | string[] } };
  if (!subject?.CN) return undefined;
  const groups = subject.O === undefined ? [] : Array.isArray(subject.O) ? subject.O : [subject.O];
  return { name: subject.CN, groups: [...groups, authenticatedGroup] };
}
