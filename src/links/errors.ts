import type { KernelError } from '../kernel/errors.ts';

/** The pod has an interface of this name already (CNI5). */
export class InterfaceExistsError extends Error {
  constructor(ifname: string, options?: ErrorOptions) {
    super(`the container has an interface ${ifname} already`, options);
    this.name = 'InterfaceExistsError';
  }
}

/** The path leads to no pod's network namespace. */
export class NamespaceError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NamespaceError';
  }
}

/** Of several changes the first that failed, if any. */
export function throwFirst(errors: ReadonlyMap<number, KernelError>): void {
  const [error] = errors.values();
  if (error) throw error;
}
