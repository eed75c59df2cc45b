import type { Family } from '../../net/ip.ts';
import type { Codec } from '../../wire/codec.ts';
import { mapped } from '../../wire/codec.ts';

/** AF_INET, AF_INET6, AF_BRIDGE (include/linux/socket.h) */
export const addressFamily = { unspec: 0, ipv4: 2, bridge: 7, ipv6: 10 } as const;

export const familyNumber = (family: Family | undefined): number => (family ? addressFamily[family] : addressFamily.unspec);
export const familyOf = (number: number): Family | undefined =>
  number === addressFamily.ipv4 ? 'ipv4' : number === addressFamily.ipv6 ? 'ipv6' : undefined;

/** A number with names for some of its values; values without a name stay visible as `#17`. */
export type Named<N extends string> = N | `#${number}`;

/** @param table names and the kernel's numbers */
export function named<N extends string>(codec: Codec<number>, table: Readonly<Record<N, number>>): Codec<Named<N>> {
  const numbers = new Map<string, number>(Object.entries<number>(table));
  const names = new Map(Array.from(numbers, ([name, number]) => [number, name as N]));
  return {
    ...mapped(
      codec,
      (number): Named<N> => names.get(number) ?? `#${number}`,
      (name) => {
        const number = numbers.get(name) ?? (name.startsWith('#') ? Number(name.slice(1)) : undefined);
        if (number === undefined || Number.isNaN(number))
          throw new RangeError(`"${name}" is none of ${[...numbers.keys()].join(', ')}`);
        return number;
      },
    ),
    // Zero, whatever it is called.
    empty: names.get(0) ?? '#0',
  };
}

/** Bits by name; unknown bits are dropped. */
export function bits<N extends string>(
  table: Readonly<Record<N, number>>,
): { read(value: number): N[]; write(names: readonly N[]): number } {
  const entries = Object.entries<number>(table) as [N, number][];
  return {
    read: (value) => entries.filter(([, bit]) => value & bit).map(([name]) => name),
    write: (names) => names.reduce((value, name) => value | table[name], 0),
  };
}
