import { readFileSync } from 'node:fs';
import { parseResolvConf } from '../kube/resolv-conf.ts';

/** Where systemd-resolved listens on loopback: its full stub, and the one that only passes on (systemd-resolved.service(8)). */
const stubs = ['127.0.0.53', '127.0.0.54'];

export interface ResolvConfPaths {
  /** What programs of the host read. */
  etc: string;
  /** Where systemd-resolved names the resolvers that it asks itself. */
  resolved: string;
}

const ofThisMachine: ResolvConfPaths = { etc: '/etc/resolv.conf', resolved: '/run/systemd/resolve/resolv.conf' };

/**
 * The file that pods with dnsPolicy Default and the cluster's DNS get their resolvers from, as kubeadm chooses it for kubelet (R9): where the host's own names
 * the stub of systemd-resolved, the one with the resolvers behind it. A pod has another loopback, on which nobody listens; and a stub that was
 * given the cluster's DNS would ask it what it asks the stub. Without such resolvers it stays the host's own.
 */
export function hostResolvConf({ etc, resolved }: ResolvConfPaths = ofThisMachine): string {
  const namesStub = nameserversIn(etc).some((address) => stubs.includes(address));
  return namesStub && nameserversIn(resolved).length > 0 ? resolved : etc;
}

/** None when the file cannot be read: who reads it later says so. */
function nameserversIn(path: string): string[] {
  try {
    return parseResolvConf(readFileSync(path, 'utf8')).nameservers;
  } catch {
    return [];
  }
}
