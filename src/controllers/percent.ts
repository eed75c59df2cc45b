/**
 * A whole number, or a share as `25%` of `total`, rounded as asked.
 * @throws SyntaxError
 */
export function resolvePercent(value: number | string | undefined, total: number, rounding: 'up' | 'down'): number {
  if (value === undefined) return 0;
  if (typeof value === 'number') return value;
  const found = /^(\d+)%$/.exec(value);
  if (!found) throw new SyntaxError(`"${value}" is neither a whole number nor a percentage such as "25%"`);
  const share = (Number(found[1]) * total) / 100;
  return rounding === 'up' ? Math.ceil(share) : Math.floor(share);
}
