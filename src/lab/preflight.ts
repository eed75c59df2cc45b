import { readFileSync } from 'node:fs';
import { KernelError } from '../kernel/errors.ts';
import { NetNs } from '../kernel/netns.ts';
import { Nft } from '../kernel/nftables/nft.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { EnvironmentError } from './errors.ts';

export interface Machine {
  kernel: string;
  node: string;
}

type Links = Pick<RtNetlink, 'addLink'> & Disposable;

/**
 * Tries what a lab needs, in a scratch namespace, instead of believing version numbers.
 * @param vxlan whether the lab will use it
 * @param open the kernel's answers; tests give others
 * @throws EnvironmentError on the first thing that is missing
 */
export function checkMachine(vxlan: boolean, open: (ns: NetNs) => Links = (ns) => RtNetlink.open(ns)): Machine {
  if (process.platform !== 'linux')
    throw new EnvironmentError(
      `podnet needs Linux; this is ${process.platform}`,
      'run it on a Linux machine or in a virtual one',
    );
  if (process.getuid?.() !== 0)
    throw new EnvironmentError(
      `a lab makes network namespaces and needs root; you are uid ${process.getuid?.()}`,
      'run it with sudo',
    );
  const path = `/run/netns/podnet-check-${process.pid}`;
  try {
    using ns = feature('network namespaces', 'CONFIG_NET_NS', () => NetNs.create(path));
    using rt = open(ns);
    feature('veth links', 'CONFIG_VETH (modprobe veth)', () => rt.addLink({ type: 'veth', name: 'v0', peer: { name: 'v1' } }));
    feature('bridges', 'CONFIG_BRIDGE (modprobe bridge)', () => rt.addLink({ type: 'bridge', name: 'b0' }));
    if (vxlan) {
      const link = { type: 'vxlan', name: 'x0', vxlan: { id: 1, port: 4789, learning: false } } as const;
      feature('VXLAN', 'CONFIG_VXLAN (modprobe vxlan), or use --backend direct', () => rt.addLink(link));
    }
    feature('nftables', 'CONFIG_NF_TABLES (modprobe nf_tables)', () => {
      using nft = Nft.open(ns);
      nft.transaction('podnet-check', (t) => t.addTable({ name: 'podnet-check' }));
    });
  } finally {
    NetNs.remove(path);
  }
  return { kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(), node: process.version };
}

function feature<T>(name: string, option: string, attempt: () => T): T {
  try {
    return attempt();
  } catch (error) {
    // A full disk is no fault of the kernel's.
    if (!(error instanceof KernelError) || error.errno === 'ENOSPC') throw error;
    throw new EnvironmentError(`this kernel gives no ${name}: ${error.message}`, `use a kernel with ${option}`);
  }
}
