/** Why no address could be given. */
export type IpamFault = 'exhausted' | 'refused' | 'no-range' | 'exists' | 'storage' | 'locked';

export class IpamError extends Error {
  readonly fault: IpamFault;

  constructor(fault: IpamFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'IpamError';
    this.fault = fault;
  }
}
