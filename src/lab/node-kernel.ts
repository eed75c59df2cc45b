import { NetNs } from '../kernel/netns.ts';
import { Nft } from '../kernel/nftables/index.ts';
import { itemsOf, keyOf, type NodeNetwork } from '../reconcile/index.ts';

/** Podnet's table as the kernel of a node holds it now; nothing of it is changed or owned by reading. @throws KernelError */
export function tableOfNode(netns: string): NodeNetwork {
  using ns = NetNs.open(netns);
  using nft = Nft.open(ns);
  const { content } = nft.read('podnet');
  return new Map(content ? Array.from(itemsOf(content, 'inet'), (item) => [keyOf(item), item]) : []);
}
