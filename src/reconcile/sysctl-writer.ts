import { isNotFound } from '../kernel/errors.ts';
import type { NetNs } from '../kernel/netns.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';
import type { Item } from './model.ts';
import type { Failure, Operation, Writer } from './operations.ts';

/** Writes settings under /proc/sys/net. A setting that nobody wants any more keeps its value: podnet does not know what it was before. */
export class SysctlWriter implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['sysctl']);
  readonly #ns: NetNs | undefined;

  constructor(ns?: NetNs) {
    this.#ns = ns;
  }

  observe(wanted: () => Iterable<Item>): Item[] {
    return [...this.#observe(wanted)];
  }

  *#observe(wanted: () => Iterable<Item>): Iterable<Item> {
    for (const item of wanted()) {
      if (item.kind !== 'sysctl') continue;
      try {
        yield { ...item, value: readSysctl(this.#ns, item.name) };
      } catch (error) {
        if (!isNotFound(error)) throw error;
        // Of the others the link may come later; writing says what is missing.
        if (item.optional) yield item;
      }
    }
  }

  apply(operations: readonly Operation[]): Failure[] {
    const failures: Failure[] = [];
    for (const operation of operations) {
      if (operation.verb === 'delete' || operation.item.kind !== 'sysctl') continue;
      try {
        writeSysctl(this.#ns, operation.item.name, operation.item.value);
      } catch (error) {
        if (!(operation.item.optional && isNotFound(error))) failures.push({ key: operation.key, error: error as Error });
      }
    }
    return failures;
  }
}
