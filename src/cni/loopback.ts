import { NetNs } from '../kernel/netns.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { CniError, cniCode } from './errors.ts';
import type { Request } from './request.ts';
import type { Result } from './result.ts';

/** The plugin type that containerd calls for every sandbox, besides the network of the configuration. */
export const loopbackType = 'loopback';

const lo = 1;

/**
 * The verbs of the type `loopback`: `lo` is up after ADD, whatever CNI_IFNAME says, as the reference plugin does it. Nothing is kept of it, so that DEL
 * and GC have nothing to do: the link goes with its namespace.
 * @returns the result of ADD: the chain's so far, or else `lo` with its addresses
 * @throws CniError 4 when CNI_NETNS is no network namespace, 102 when CHECK finds `lo` down
 */
export function performLoopback(request: Request): Result | undefined {
  if (request.command === 'ADD') {
    const own = inside(request.netns, (rt) => {
      rt.setLink(lo, { up: true });
      return resultOf(rt, request.netns);
    });
    return request.config.prevResult ?? own;
  }
  if (request.command === 'CHECK' && !inside(request.netns, (rt) => rt.link(lo)?.up))
    throw new CniError(cniCode.damaged, 'lo is down', 'delete the pod: a new sandbox brings it back');
  return undefined;
}

const resultOf = (rt: RtNetlink, sandbox: string): Result => ({
  interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox }],
  ips: rt.addresses({ link: lo }).map(({ address, prefixLength }) => ({ address: `${address}/${prefixLength}`, interface: 0 })),
  routes: [],
  dns: {},
});

function inside<T>(netns: string, fn: (rt: RtNetlink) => T): T {
  let ns: NetNs;
  try {
    ns = NetNs.open(netns);
  } catch (cause) {
    const why = `CNI_NETNS: ${netns} is no network namespace: ${(cause as Error).message}`;
    throw new CniError(cniCode.invalidEnvironment, why, undefined, { cause });
  }
  using _ = ns;
  using rt = RtNetlink.open(ns);
  return fn(rt);
}
