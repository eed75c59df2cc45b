import type { KernelError } from '../kernel/errors.ts';
import { writeSysctls } from '../kernel/sysctl.ts';

/**
 * Whether a new link has IPv6 switched off: by the default of its namespace, which an administrator of the node may have set for links in general, or a runtime for all of a
 * pod (CRI-O does it for sysctls of pods). A link that is given an address of IPv6 is meant to have it, so other plugins switch it on as well.
 * @param errors of the messages that gave the link its addresses and routes
 */
export const isIpv6Off = (errors: ReadonlyMap<number, KernelError>): boolean =>
  errors.size > 0 && [...errors.values()].some(({ errno }) => errno === 'EACCES');

/** Of one link, in the namespace that this thread is in. @throws KernelError */
export const switchIpv6On = (link: string): void => writeSysctls(`net/ipv6/conf/${link}`, { disable_ipv6: '0' });
