import { dynamic, match } from '../kernel/nftables/index.ts';
import { type Family, families } from '../net/ip.ts';
import { setMask } from './values.ts';

/** Values that the rules of this room look up. */

/** `ip daddr . meta l4proto . th dport` */
export const servicePort = (family: Family): match.Value => match.concat(match.daddr(family), match.l4proto, match.dport);
/** The same of an answer: `ip saddr . meta l4proto . th sport` */
export const answeringPort = (family: Family): match.Value => match.concat(match.saddr(family), match.l4proto, match.sport);
export const nodePort: match.Value = match.concat(match.l4proto, match.dport);
/** The id of the set alone, of whatever number is in the priority. */
export const setOfPriority: match.Value = dynamic.maskedPriority(setMask);

export const perFamily = <T>(fn: (family: Family) => T | T[]): T[] => families.flatMap(fn);
