import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** What a client needs to reach a server as one user; PEM texts. */
export interface KubeconfigEntry {
  /** Names the cluster and the context. */
  cluster: string;
  user: string;
  /** `https://127.0.0.1:6443`, `https://[::1]:6443` */
  server: string;
  ca: string;
  credential: { certificate: string; key: string } | { token: string };
  namespace?: string;
  /** Name to expect in the server's certificate when it is not the host of `server`. */
  serverName?: string;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A kubeconfig with one cluster, user and context, everything inside. It is JSON, which every reader of YAML takes and podnet's own processes read fast. */
export function kubeconfigText(entry: KubeconfigEntry): string {
  const { credential } = entry;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: entry.cluster,
        cluster: {
          server: entry.server,
          'certificate-authority-data': base64(entry.ca),
          ...(entry.serverName && { 'tls-server-name': entry.serverName }),
        },
      },
    ],
    users: [
      {
        name: entry.user,
        user:
          'token' in credential
            ? { token: credential.token }
            : { 'client-certificate-data': base64(credential.certificate), 'client-key-data': base64(credential.key) },
      },
    ],
    contexts: [
      {
        name: entry.cluster,
        context: { cluster: entry.cluster, user: entry.user, ...(entry.namespace && { namespace: entry.namespace }) },
      },
    ],
    'current-context': entry.cluster,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** Writes a kubeconfig that only its owner can read. Readers see the old file or the new one, never a part. */
export function writeKubeconfig(path: string, entry: KubeconfigEntry): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.new`;
  try {
    // `wx`: a file that somebody put there beforehand, perhaps as a link, is not followed.
    writeFileSync(temporary, kubeconfigText(entry), { mode: 0o600, flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
