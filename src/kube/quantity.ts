const binary: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 };
const decimal: Record<string, number> = { n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };

/**
 * A Kubernetes quantity (`100m`, `1.5Gi`, `1e3`) as a number in its base unit: cores, bytes. Exact to the precision of a double.
 * @throws SyntaxError
 */
export function parseQuantity(text: string | number): number {
  if (typeof text === 'number') return text;
  const found = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?))$/.exec(text.trim());
  if (!found)
    throw new SyntaxError(`"${text}" is not a quantity; expected a number with an optional suffix such as m, k, M, Ki, Mi`);
  const [, number, exponent = '', suffix = ''] = found;
  return Number(`${number}${exponent}`) * (binary[suffix] ?? decimal[suffix]!);
}
