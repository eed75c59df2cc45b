import type { IpAddr } from '../../net/ip.ts';
import type { KernelError } from '../errors.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Address, AddressKey } from './addresses.ts';
import { type Operation, RtBatch } from './batch.ts';
import type { LinkChange, LinkSpec } from './links.ts';
import type { Fdb, Neighbour, NeighbourKey } from './neighbours.ts';
import type { Route, RouteKey } from './routes.ts';
import type { Rule } from './rules.ts';
import type { RtTemplate } from './template.ts';

/** Several messages of one batch failed; the others took effect. */
export class BatchError extends Error {
  /** By the place of the message among those of the batch. */
  readonly errors: ReadonlyMap<number, KernelError>;

  constructor(errors: ReadonlyMap<number, KernelError>, total: number) {
    const [first] = errors.values();
    super(`${errors.size} of ${total} changes failed; the first: ${first?.message}`, { cause: first });
    this.name = 'BatchError';
    this.errors = errors;
  }
}

const print = (value: unknown): string =>
  typeof value === 'object'
    ? JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}` : part))
    : String(value);

const describe = (operation: Operation | undefined): string =>
  operation ? `${operation.verb} ${print(operation.subject)}` : 'rtnetlink';

/** Changes of one network namespace: many at once, or one at a time. Deleting what is not there succeeds. */
export abstract class RtChanges implements Disposable {
  protected readonly socket: NetlinkSocket;

  protected constructor(socket: NetlinkSocket) {
    this.socket = socket;
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }

  /**
   * Sends all changes that `build` makes with one system call.
   * @throws KernelError when it was one change, BatchError when several were sent and at least one failed
   */
  batch(build: (batch: RtBatch) => void): void {
    const { errors, total } = this.#send(build);
    if (errors.size === 0) return;
    const [first] = errors.values();
    throw total === 1 ? first! : new BatchError(errors, total);
  }

  /** The same, with the errors by the change's place instead of a throw. */
  tryBatch(build: (batch: RtBatch) => void): ReadonlyMap<number, KernelError> {
    return this.#send(build).errors;
  }

  /** The same, of messages that were encoded beforehand. */
  tryTemplate<Values>(template: RtTemplate<Values>, values: Values): ReadonlyMap<number, KernelError> {
    const batch = template.fill(this.socket.batch(), values);
    const errors = this.socket.exchange(batch, (index) => describe(template.operations(values)[index]));
    for (const [index, error] of errors) if (template.isFulfilled(index, error)) errors.delete(index);
    return errors;
  }

  #send(build: (batch: RtBatch) => void): { errors: Map<number, KernelError>; total: number } {
    const netlink = this.socket.batch();
    const batch = new RtBatch(netlink);
    build(batch);
    const { operations } = batch;
    const errors = this.socket.exchange(netlink, (index) => describe(operations[index]));
    for (const [index, error] of errors) if (operations[index]?.fulfilled.includes(error.errno)) errors.delete(index);
    return { errors, total: operations.length };
  }

  addLink(link: LinkSpec): void {
    this.batch((b) => b.addLink(link));
  }

  setLink(index: number, change: LinkChange): void {
    this.batch((b) => b.setLink(index, change));
  }

  deleteLink(link: number | { name: string }): void {
    this.batch((b) => b.deleteLink(link));
  }

  deleteLinkGroup(group: number): void {
    this.batch((b) => b.deleteLinkGroup(group));
  }

  addAddress(address: Address): void {
    this.batch((b) => b.addAddress(address));
  }

  replaceAddress(address: Address): void {
    this.batch((b) => b.replaceAddress(address));
  }

  deleteAddress(address: AddressKey): void {
    this.batch((b) => b.deleteAddress(address));
  }

  addRoute(route: Route): void {
    this.batch((b) => b.addRoute(route));
  }

  replaceRoute(route: Route): void {
    this.batch((b) => b.replaceRoute(route));
  }

  deleteRoute(route: RouteKey): void {
    this.batch((b) => b.deleteRoute(route));
  }

  addNeighbour(neighbour: Neighbour): void {
    this.batch((b) => b.addNeighbour(neighbour));
  }

  replaceNeighbour(neighbour: Neighbour): void {
    this.batch((b) => b.replaceNeighbour(neighbour));
  }

  deleteNeighbour(neighbour: NeighbourKey): void {
    this.batch((b) => b.deleteNeighbour(neighbour));
  }

  addProxy(link: number, address: IpAddr): void {
    this.batch((b) => b.addProxy(link, address));
  }

  deleteProxy(link: number, address: IpAddr): void {
    this.batch((b) => b.deleteProxy(link, address));
  }

  addFdb(entry: Fdb): void {
    this.batch((b) => b.addFdb(entry));
  }

  replaceFdb(entry: Fdb): void {
    this.batch((b) => b.replaceFdb(entry));
  }

  appendFdb(entry: Fdb): void {
    this.batch((b) => b.appendFdb(entry));
  }

  deleteFdb(entry: Fdb): void {
    this.batch((b) => b.deleteFdb(entry));
  }

  addRule(rule: Rule): void {
    this.batch((b) => b.addRule(rule));
  }

  deleteRule(rule: Rule): void {
    this.batch((b) => b.deleteRule(rule));
  }
}
