import type { Authenticator } from './auth/authenticate.ts';
import type { Authorizer } from './auth/authorize.ts';
import type { ServiceAccountTokens } from './pki/tokens.ts';
import type { Registry } from './registry/registry.ts';
import type { DialNode } from './rest/node-streams.ts';
import type { OpenApi } from './schema/openapi.ts';
import type { Store } from './store/store.ts';

/** What all parts of a running server share. */
export interface Context {
  store: Store;
  registry: Registry;
  authenticator: Authenticator;
  authorizer: Authorizer;
  openApi: OpenApi;
  tokens?: ServiceAccountTokens;
  dialNode: DialNode;
  /** Milliseconds since 1970. */
  now(): number;
  log(text: string): void;
}
