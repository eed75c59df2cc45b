import { CniError, cniCode } from '../../cni/errors.ts';
import { IpamError, type IpamFault } from '../../ipam/index.ts';
import { InterfaceExistsError, NamespaceError } from '../../links/index.ts';

const codes: Record<IpamFault, number> = {
  exhausted: cniCode.exhausted,
  refused: cniCode.invalidConfig,
  'no-range': cniCode.tryAgainLater,
  exists: cniCode.interfaceExists,
  storage: cniCode.io,
  locked: cniCode.notAvailable,
};

/** What the features throw, with the code that a runtime understands. */
export function toCniError(error: unknown): CniError {
  const withCode = (code: number, details?: string): CniError =>
    new CniError(code, (error as Error).message, details, { cause: error });
  if (error instanceof IpamError) return withCode(codes[error.fault]);
  if (error instanceof InterfaceExistsError)
    return withCode(cniCode.interfaceExists, 'the runtime must DEL it first, or choose another CNI_IFNAME');
  if (error instanceof NamespaceError)
    return new CniError(cniCode.invalidEnvironment, `CNI_NETNS: ${error.message}`, undefined, { cause: error });
  return CniError.from(error);
}
