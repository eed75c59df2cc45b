import type { Reader } from '../../wire/reader.ts';
import type { Writer } from '../../wire/writer.ts';

const codes: Record<string, number> = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 };
const verdicts = new Map(Object.entries(codes).map(([name, code]) => [code, name]));

/**
 * Writes the attributes of enum nft_data_attributes: `0x…` as NFTA_DATA_VALUE, anything else as NFTA_DATA_VERDICT.
 * @throws SyntaxError on a verdict that nft does not have
 */
export function writeData(writer: Writer, text: string): void {
  if (text.startsWith('0x')) {
    writer.attribute(1, (w) => w.bytes(Buffer.from(text.slice(2), 'hex')));
    return;
  }
  writer.nested(2, (w) => writeVerdict(w, text));
}

function writeVerdict(writer: Writer, text: string): void {
  const [name, chain] = text.split(' ') as [string, string | undefined];
  const code = codes[name];
  const jumps = name === 'jump' || name === 'goto';
  if (code === undefined || jumps !== (chain !== undefined))
    throw new SyntaxError(`"${text}" is not a verdict: expected accept, drop, return, jump CHAIN or goto CHAIN`);
  writer.attribute(1, (w) => w.be32(code >>> 0));
  if (chain !== undefined) writer.attribute(2, (w) => w.cstring(chain));
}

/** The inverse of `writeData`. */
export function readData(reader: Reader): string {
  let text = '';
  reader.eachAttribute((type, inner) => {
    if (type === 1) text = `0x${inner.rest().toString('hex')}`;
    if (type === 2) text = readVerdict(inner);
  });
  return text;
}

function readVerdict(reader: Reader): string {
  let name = '';
  let chain = '';
  reader.eachAttribute((type, inner) => {
    if (type === 1) {
      const code = inner.be32() | 0;
      name = verdicts.get(code) ?? `verdict ${code}`;
    }
    if (type === 2) chain = ` ${inner.cstring()}`;
  });
  return name + chain;
}
