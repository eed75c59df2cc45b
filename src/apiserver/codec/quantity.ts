const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const bySize = ['E', 'P', 'T', 'G', 'M', 'k', '', 'm', 'u', 'n'] as const;

interface Parsed {
  /** In units of 10^-9; finer is rounded up, as Go does. */
  nano: bigint;
  form: 'binary' | 'decimal' | 'exponent';
}

const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:([KMGTPE]i)|([numkMGTPE]?)|([eE][+-]?\d{1,3}))$/;

function parse(text: string): Parsed | undefined {
  const found = pattern.exec(text);
  if (!found || (!found[2] && !found[3])) return undefined;
  const [, sign, whole = '', fraction = '', bin, dec = '', exponent] = found;
  const form = bin ? 'binary' : exponent ? 'exponent' : 'decimal';
  const shift = exponent ? Number(exponent.slice(1)) : decimal[dec]!;
  if (Math.abs(shift) > 400) return undefined;
  let value = BigInt(whole + fraction || '0');
  if (bin) value <<= BigInt(10 * binary.indexOf(bin));
  const power = 9 + (bin ? 0 : shift) - fraction.length;
  let nano: bigint;
  if (power >= 0) nano = value * 10n ** BigInt(power);
  else {
    const divisor = 10n ** BigInt(-power);
    nano = (value + divisor - 1n) / divisor;
  }
  return { nano: sign === '-' ? -nano : nano, form };
}

/** A resource.Quantity as text or number in the units of 10^-9; undefined: it is none. */
export const quantityNano = (value: string | number): bigint | undefined => parse(String(value))?.nano;

/**
 * The canonical form that Kubernetes writes: no fraction, the largest suffix that divides the value, the family of suffixes kept
 * (`0.5` → `500m`, `1024Mi` → `1Gi`). Undefined: it is no quantity.
 */
export function canonicalQuantity(value: string | number): string | undefined {
  const parsed = parse(String(value).trim());
  if (!parsed) return undefined;
  const { nano, form } = parsed;
  if (nano === 0n) return '0';
  const one = 1_000_000_000n;
  const size = nano < 0n ? -nano : nano;
  // Binary suffixes cannot express fractions, nor values under 1024 well: Go falls back to decimal there.
  if (form === 'binary' && nano % one === 0n && size >= 1024n * one) {
    let amount = nano / one;
    let at = 0;
    while (at < binary.length - 1 && amount % 1024n === 0n) {
      amount /= 1024n;
      at++;
    }
    return `${amount}${binary[at]}`;
  }
  for (const suffix of bySize) {
    const unit = 10n ** BigInt(9 + decimal[suffix]!);
    if (nano % unit !== 0n) continue;
    if (form === 'exponent') return decimal[suffix] === 0 ? `${nano / unit}` : `${nano / unit}e${decimal[suffix]}`;
    return `${nano / unit}${suffix}`;
  }
  return undefined;
}
