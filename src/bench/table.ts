/** Columns as wide as their widest cell; all but those named in `left` stand to the right. */
export function table(rows: readonly (readonly string[])[], left: readonly number[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    widths.map((width, i) => (left.includes(i) ? (row[i] ?? '').padEnd(width) : (row[i] ?? '').padStart(width))).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}
