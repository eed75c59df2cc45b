import { denyChain } from '../../policy/plan/index.ts';
import { refuseChain } from '../../services/index.ts';

/** What it means that the kernel has a chain with the rules of its `otherwise`. */
const meanings: Readonly<Record<string, string>> = {
  [`nft-chain ${refuseChain}`]:
    'what nobody answers at a Service is dropped in place of refused, and who asks waits until he gives up by himself',
  [`nft-chain ${denyChain}`]:
    'connections that policies cut are dropped without a reset, and their ends notice it by their own timeouts',
};

/**
 * What this kernel has not, and what is done in place of it.
 * @param reduced `NftWriter.reduced`
 */
export function reducedProblems(reduced: ReadonlyMap<string, string>): string[] {
  const found = Object.keys(meanings).filter((key) => reduced.has(key));
  if (found.length === 0) return [];
  const effects = found.map((key) => meanings[key]).join('; ');
  return [
    `this kernel has no reject for nftables (CONFIG_NFT_REJECT, CONFIG_NFT_REJECT_INET: ${reduced.get(found[0]!)}): ${effects}; load the module nft_reject_inet, and start the agent again`,
  ];
}
