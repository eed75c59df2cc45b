import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parseYaml } from './yaml.ts';

/** By which a client knows its server, and is known. PEM texts. */
export type Trust = Pick<Connection, 'ca' | 'certificate' | 'key'>;

/** Where an API server is and how to be known there. PEM texts, not paths. */
export interface Connection {
  /** `https://host:port`, perhaps with a path. */
  server: string;
  ca?: string;
  certificate?: string;
  key?: string;
  /** The bearer token of now; asked for with every request, so that a rotated one is used. */
  token?: () => string;
  /** CA, certificate and key of now, where they are in files that somebody may rotate; asked for with every request. */
  trust?: () => Trust;
  /** Name to expect in the server's certificate, when it is not the host of `server`. */
  serverName?: string;
  /** Trust any server. Only what the user's kubeconfig says itself. */
  insecure?: boolean;
  /** The context's namespace. */
  namespace?: string;
}

/** The kubeconfig or the service account is unusable; the message says where and what to do. */
export class KubeconfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KubeconfigError';
  }
}

type Table = Record<string, unknown>;
const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws KubeconfigError */
export function loadKubeconfig(path: string, context?: string, now?: Now): Connection {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KubeconfigError(`cannot read the kubeconfig ${path}: ${(cause as Error).message}`, { cause });
  }
  return parseKubeconfig(text, path, context, now);
}

/** @param path where the text came from: for messages, and for files named relative to it */
export function parseKubeconfig(text: string, path: string, context?: string, now?: Now): Connection {
  let config: unknown;
  try {
    config = parseYaml(text);
  } catch (cause) {
    throw new KubeconfigError(`the kubeconfig ${path} is not YAML: ${(cause as Error).message}`, { cause });
  }
  const fail = (what: string): never => {
    throw new KubeconfigError(`the kubeconfig ${path} ${what}`);
  };
  if (!isTable(config)) return fail('is empty or not a mapping; expected "kind: Config"');
  const named = (list: string, field: string, name: unknown): Table => {
    const entries = Array.isArray(config[list]) ? (config[list] as unknown[]).filter(isTable) : [];
    const found = entries.find((entry) => entry.name === name);
    const known = entries.map((entry) => entry.name).join(', ') || 'none';
    if (!found) return fail(`has no entry "${String(name)}" in ${list} (it has: ${known})`);
    return isTable(found[field]) ? found[field] : fail(`has no "${field}" in the entry "${String(name)}" of ${list}`);
  };
  const chosen = context ?? config['current-context'];
  if (!chosen) return fail('names no current-context; set one with "kubectl config use-context NAME"');
  const scope = named('contexts', 'context', chosen);
  const cluster = named('clusters', 'cluster', scope.cluster);
  const user = scope.user ? named('users', 'user', scope.user) : {};
  for (const field of ['exec', 'auth-provider', 'username']) {
    if (user[field])
      fail(
        `authenticates user "${String(scope.user)}" by "${field}", which podnet does not do; use a client certificate or a token`,
      );
  }
  const server = cluster.server;
  if (typeof server !== 'string' || !/^https?:\/\//.test(server))
    return fail(`has the server "${String(server)}"; expected https://HOST:PORT`);
  const resolve = (file: string): string => (isAbsolute(file) ? file : join(dirname(path), file));
  let hasFiles = false;
  const pem = (table: Table, field: string): (() => string | undefined) => {
    const data = table[`${field}-data`];
    if (typeof data === 'string') {
      const decoded = Buffer.from(data, 'base64').toString('utf8');
      return () => decoded;
    }
    const file = table[field];
    if (typeof file !== 'string') return () => undefined;
    hasFiles = true;
    const current = fileText(resolve(file), now);
    try {
      current();
    } catch (cause) {
      return fail(`names the file ${file} as ${field}, which cannot be read: ${(cause as Error).message}`);
    }
    return current;
  };
  const [ca, certificate, key] = [
    pem(cluster, 'certificate-authority'),
    pem(user, 'client-certificate'),
    pem(user, 'client-key'),
  ];
  const trust = (): Trust => ({ ca: ca(), certificate: certificate(), key: key() });
  const connection: Connection = { server, ...trust(), ...(hasFiles ? { trust } : {}) };
  if (Boolean(connection.certificate) !== Boolean(connection.key))
    fail('has a client certificate without its key, or a key without its certificate');
  const token = user.token;
  if (typeof token === 'string') connection.token = () => token;
  else if (typeof user.tokenFile === 'string') connection.token = tokenFile(resolve(user.tokenFile), now);
  if (typeof cluster['tls-server-name'] === 'string') connection.serverName = cluster['tls-server-name'];
  if (cluster['insecure-skip-tls-verify'] === true) connection.insecure = true;
  if (typeof scope.namespace === 'string') connection.namespace = scope.namespace;
  return connection;
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The connection that a pod gets from its service account. @throws KubeconfigError outside of a pod */
export function inCluster(env: NodeJS.ProcessEnv = process.env, directory = serviceAccount, now?: Now): Connection {
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT ?? '443';
  if (!host) throw new KubeconfigError('not in a pod: KUBERNETES_SERVICE_HOST is not set; name a kubeconfig with --kubeconfig');
  const ca = fileText(join(directory, 'ca.crt'), now);
  const trust = (): Trust => ({ ca: ca() });
  let first: Trust;
  try {
    first = trust();
  } catch (cause) {
    throw new KubeconfigError(`the service account has no CA: ${(cause as Error).message}`, { cause });
  }
  const token = tokenFile(join(directory, 'token'), now);
  token();
  return { server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, ...first, trust, token };
}

/** Milliseconds that no change of the machine's clock moves (F48). */
type Now = () => number;
const monotonic: Now = () => performance.now();

/** How often a file is looked at: whoever rotates does so long before the end. */
const lookEveryMs = 10_000;

/**
 * A file's text, read again when it changed. One that was read once and cannot be any more keeps its text.
 * @throws Error when it could never be read
 */
function fileText(path: string, now: Now = monotonic): () => string {
  let text: string | undefined;
  let modified = -1;
  let lookAgainAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (text !== undefined && now() < lookAgainAt) return text;
    try {
      const { mtimeMs } = statSync(path);
      if (mtimeMs !== modified) {
        text = readFileSync(path, 'utf8');
        modified = mtimeMs;
      }
    } catch (cause) {
      if (text === undefined) throw cause;
    }
    lookAgainAt = now() + lookEveryMs;
    return text!;
  };
}

function tokenFile(path: string, now?: Now): () => string {
  const text = fileText(path, now);
  return () => {
    try {
      return text().trim();
    } catch (cause) {
      throw new KubeconfigError(`cannot read the token ${path}: ${(cause as Error).message}`, { cause });
    }
  };
}
