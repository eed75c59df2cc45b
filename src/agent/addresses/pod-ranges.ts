import type { Ipam } from '../../ipam/index.ts';
import type { Conntrack } from '../../kernel/conntrack.ts';
import type { Nft } from '../../kernel/nftables/nft.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import type { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import { notedInKernel } from '../attach/hostports.ts';
import type { Settings } from '../settings.ts';
import { addressesInUse, leasesOfHostLocal } from './in-use.ts';
import { recoverLeases } from './recover.ts';

export interface PodRangesOptions {
  ipam: Ipam;
  rt: RtNetlink;
  nft: Nft;
  conntrack: Conntrack;
  settings: Settings;
  log: (line: string) => void;
}

/** The node's pod CIDRs, and who has addresses in them without a lease. */
export class PodRanges {
  readonly #options: PodRangesOptions;

  constructor(options: PodRangesOptions) {
    this.#options = options;
  }

  /** Takes over the node's pod CIDRs: what is in use there is known before any address is given, and what was in use is forgotten. */
  set(podCidrs: readonly Prefix[]): void {
    const { ipam, rt, nft, conntrack, settings, log } = this.#options;
    ipam.setRanges(podCidrs);
    const portsOf = (addresses: readonly IpAddr[]): string => notedInKernel(nft, addresses);
    for (const line of recoverLeases(ipam, rt, settings.families, portsOf)) log(line);
    this.lookForUse();
    const deleted = conntrack.deleteWhere((address) => ipam.isFree(address));
    if (deleted > 0) log(`forgot ${deleted} connections of pods that are gone`);
  }

  lookForUse(): void {
    const { ipam, rt, settings, log } = this.#options;
    try {
      ipam.hold('this node', addressesInUse(rt));
      ipam.hold('host-local', leasesOfHostLocal(settings.cni.hostLocalDir));
    } catch (error) {
      // What was found before stays held back.
      log(`addresses in use: ${(error as Error).message}`);
    }
  }
}
