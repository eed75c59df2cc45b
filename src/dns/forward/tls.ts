import { readFileSync, statSync } from 'node:fs';
import tls from 'node:tls';
import type { Socket } from 'node:net';
import type { Upstream } from './target.ts';

/** Where distributions keep the certificates that the machine trusts. */
const systemCertificates = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem'];

/**
 * Makes TLS connections to resolvers (RFC 7858 with authentication, RFC 8310 8.1): the certificate must be of an authority in the given file, or of one that
 * the machine trusts, and be for the name or the address. The file is read again when it changes.
 */
export class TlsConnector {
  readonly #path: string | undefined;
  readonly #sessions = new Map<string, Buffer>();
  #context: { seen: string; secure: tls.SecureContext } | undefined;

  /** @param path of certificates in PEM; undefined: those of the machine, or else those of node */
  constructor(path: string | undefined) {
    this.#path = path ?? systemCertificates.find((file) => statSync(file, { throwIfNoEntry: false }));
  }

  /** @throws Error with a code, e.g. ENOENT for the file of certificates */
  connect(socket: Socket, { address, port, serverName }: Upstream): tls.TLSSocket {
    const key = `${address} ${port} ${serverName}`;
    const stream = tls.connect({
      ...{ socket, host: String(address), servername: serverName ?? '', secureContext: this.#secureContext() },
      ...{ ALPNProtocols: ['dot'], session: this.#sessions.get(key), rejectUnauthorized: true },
    });
    stream.on('session', (session) => this.#sessions.set(key, session));
    stream.on('error', () => this.#sessions.delete(key));
    return stream;
  }

  #secureContext(): tls.SecureContext {
    if (this.#path === undefined)
      return (this.#context ??= { seen: '', secure: tls.createSecureContext({ minVersion: 'TLSv1.2' }) }).secure;
    const { mtimeMs, ino } = statSync(this.#path);
    const seen = `${mtimeMs} ${ino}`;
    if (this.#context?.seen !== seen)
      this.#context = { seen, secure: tls.createSecureContext({ ca: readFileSync(this.#path), minVersion: 'TLSv1.2' }) };
    return this.#context.secure;
  }
}
