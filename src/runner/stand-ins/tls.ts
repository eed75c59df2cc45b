import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { CertificateAuthority } from '../../apiserver/pki/certificates.ts';

let context: SecureContext | undefined;

/** One self-signed identity for the process, made when the first client asks for TLS: kubelet does not verify certificates of probes. */
function secureContext(): SecureContext {
  if (context) return context;
  const names = { dns: ['podnet-stand-in'], ips: [] };
  const { certificate, key } = CertificateAuthority.create('podnet stand-ins').issueServer('podnet stand-in', names);
  context = createSecureContext({ cert: certificate, key });
  return context;
}

/** Ends TLS on a connection. `secured` is called after the handshake; when it fails, the connection is closed. */
export function endTls(socket: Socket, secured: (inner: TLSSocket) => void): void {
  const inner = new TLSSocket(socket, { isServer: true, secureContext: secureContext(), ALPNProtocols: ['h2', 'http/1.1'] });
  inner.on('error', () => socket.destroy());
  inner.once('close', () => socket.destroy());
  inner.once('secure', () => {
    // node's own tls.Server clears this here; node:http2 waits for ever on a socket that has it.
    Object.assign(inner, { secureConnecting: false });
    secured(inner);
  });
}
