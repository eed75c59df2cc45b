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
