import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CertificateAuthority } from '../../apiserver/pki/certificates.ts';
import { IpAddr } from '../../net/ip.ts';
import { freePort } from '../../testing/free-port.ts';
import { needsTool, requireTool, unboundBinary } from '../../testing/tools.ts';

/** Options for node:test: skips without unbound. */
export const needsUnbound = needsTool(unboundBinary());

/** The name in its certificate. */
export const serverName = 'dns.resolver.test';

/** unbound on 127.0.0.1, or another address of lo, with a zone of its own, over UDP, TCP and TLS with a certificate for `serverName` and 127.0.0.1. */
export class Unbound implements AsyncDisposable {
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly port: number;
  readonly tlsPort: number;

  private constructor(directory: string, child: ChildProcess, ports: { port: number; tlsPort: number }) {
    this.#directory = directory;
    this.#process = child;
    this.port = ports.port;
    this.tlsPort = ports.tlsPort;
  }

  /** @param zone of `example.test`, as a zone file */
  static async start(zone: string, options: { address?: string; port?: number; tlsPort?: number } = {}): Promise<Unbound> {
    const directory = mkdtempSync(path.join(tmpdir(), `podnet-test-dns-${process.pid}-unbound-`));
    const { address = '127.0.0.1', port = freePort(), tlsPort = freePort() } = options;
    const ca = CertificateAuthority.create('resolver test');
    const pair = ca.issueServer('resolver', { dns: [serverName], ips: [IpAddr.parse('127.0.0.1')] });
    const file = (name: string, text: string): string => {
      const full = path.join(directory, name);
      writeFileSync(full, text, { mode: 0o600 });
      return full;
    };
    file('ca.pem', ca.certificate);
    const config = file(
      'unbound.conf',
      `server:
  interface: ${address}@${port}
  interface: ${address}@${tlsPort}
  tls-port: ${tlsPort}
  tls-service-key: "${file('key.pem', pair.key)}"
  tls-service-pem: "${file('certificate.pem', pair.certificate)}"
  do-daemonize: no
  use-syslog: no
  logfile: ""
  username: ""
  chroot: ""
  directory: "${directory}"
  pidfile: ""
  access-control: 127.0.0.0/8 allow
  edns-buffer-size: 1232
  minimal-responses: no
  local-zone: "test." nodefault
  module-config: "iterator"
auth-zone:
  name: example.test
  for-downstream: yes
  for-upstream: yes
  zonefile: "${file('zone', zone)}"
remote-control:
  control-enable: no
`,
    );
    const child = spawn(requireTool(unboundBinary()), ['-d', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    const unbound = new Unbound(directory, child, { port, tlsPort });
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const ended = once(child, 'exit').then(() => {
      throw new Error(`unbound ended: ${said}`);
    });
    ended.catch(() => {});
    const ready = async (): Promise<void> => {
      while (!said.includes('start of service')) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await Promise.race([ready(), ended]);
    return unbound;
  }

  get caFile(): string {
    return path.join(this.#directory, 'ca.pem');
  }

  /** As with kill -9. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
