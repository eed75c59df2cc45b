import { KernelError } from '../../kernel/errors.ts';
import { ipsetCommand, ipsetHeader, ipsetType } from '../../kernel/ipset.ts';
import { netlinkNetfilter } from '../../kernel/netlink/constants.ts';
import { NetlinkSocket } from '../../kernel/netlink/socket.ts';
import type { NetNs } from '../../kernel/netns.ts';
import type { Family } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';

/** NLA_F_NESTED, NLA_F_NET_BYTEORDER */
const nested = 0x8000;
const netOrder = 0x4000;
const familyNumber = { ipv4: 2, ipv6: 10 } as const;

/** Makes a set of ip_set, as `ipset create NAME hash:net` and `ipset add` do; `!PREFIX` is an exception (`nomatch`). */
export function makeIpSet(ns: NetNs, name: string, family: Family, elements: readonly string[], type = 'hash:net'): void {
  using socket = NetlinkSocket.open(netlinkNetfilter, ns);
  // NLM_F_CREATE | NLM_F_EXCL
  socket.request(
    ipsetType(ipsetCommand.create),
    0x600,
    (batch) => {
      ipsetHeader(batch)
        .attribute(2, (w) => w.cstring(name))
        .attribute(3, (w) => w.cstring(type));
      batch
        .attribute(4, (w) => w.u8(0))
        .attribute(5, (w) => w.u8(familyNumber[family]))
        .attribute(7 | nested, () => {});
    },
    `create ipset ${name}`,
  );
  changeIpSet(ns, name, 'add', elements);
}

/** `ipset add` and `ipset del` */
export function changeIpSet(ns: NetNs, name: string, verb: 'add' | 'del', elements: readonly string[]): void {
  using socket = NetlinkSocket.open(netlinkNetfilter, ns);
  for (const element of elements) {
    const { address, length } = Prefix.parse(element.replace('!', ''));
    socket.request(
      ipsetType(ipsetCommand[verb]),
      verb === 'add' ? 0x600 : 0,
      (batch) => {
        ipsetHeader(batch).attribute(2, (w) => w.cstring(name));
        batch.attribute(7 | nested, (data) => {
          const attribute = address.family === 'ipv4' ? 1 : 2;
          data.attribute(1 | nested, (ip) => ip.attribute(attribute | netOrder, (w) => w.bytes(address.bytes)));
          data.attribute(3, (w) => w.u8(length));
          if (element.startsWith('!')) data.attribute(8 | netOrder, (w) => w.be32(4));
        });
      },
      `${verb} ${element} to ipset ${name}`,
    );
  }
}

/** Whether this kernel has ip_set with sets of prefixes: why not, if so. */
export function whyNoIpSets(ns: NetNs): string | undefined {
  try {
    makeIpSet(ns, 'podnet-try', 'ipv4', []);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return `this kernel has no ip_set: ${error.message}`;
    throw error;
  }
}
