/** One bar of a chart. */
export interface Bar {
  label: string;
  value: number;
  /** As it is told beside the bar. */
  text: string;
  /** Bars of one kind have one colour. */
  kind: string;
}

const colours = ['#2563eb', '#d97706', '#16a34a', '#9333ea', '#64748b'];
const [width, labelWidth, row, top, noteWidth] = [900, 380, 22, 64, 110];

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Horizontal bars on a logarithmic scale: what is compared here lies powers of ten apart. @throws RangeError without a bar above zero */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const values = bars.map(({ value }) => value).filter((value) => value > 0);
  if (values.length === 0) throw new RangeError('there is nothing to draw');
  const least = 10 ** Math.floor(Math.log10(Math.min(...values)) - 0.01);
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(...values) / least)));
  const room = width - labelWidth - noteWidth;
  const lengthOf = (value: number): number => Math.max(1, (Math.log10(Math.max(value, least) / least) / decades) * room);
  const kinds = [...new Set(bars.map(({ kind }) => kind))];
  const height = top + bars.length * row + 30;
  const lines = Array.from({ length: decades + 1 }, (_, i) => {
    const x = labelWidth + (i / decades) * room;
    return `<line x1="${x}" y1="${top - 4}" x2="${x}" y2="${height - 26}" stroke="#ddd"/><text x="${x}" y="${height - 10}" text-anchor="middle">${Number((least * 10 ** i).toPrecision(3))}</text>`;
  });
  const legend = kinds.map((kind, i) => `<tspan fill="${colours[i % colours.length]}">■</tspan> ${escaped(kind)}`).join('&#160;&#160; ');
  const drawn = bars.map(({ label, value, text, kind }, i) => {
    const y = top + i * row;
    const length = lengthOf(value);
    return (
      `<text x="${labelWidth - 8}" y="${y + 14}" text-anchor="end">${escaped(label)}</text>` +
      `<rect x="${labelWidth}" y="${y + 2}" width="${length.toFixed(1)}" height="${row - 6}" fill="${colours[kinds.indexOf(kind) % colours.length]}"/>` +
      `<text x="${(labelWidth + length + 6).toFixed(1)}" y="${y + 14}">${escaped(text)}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="12" y="22" font-size="15">${escaped(title)} (${escaped(unit)}, logarithmic)</text>`,
    `<text x="12" y="44">${legend}</text>`,
    ...lines,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}
