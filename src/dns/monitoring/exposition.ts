import type { HistogramCounts } from './histogram.ts';

type Labels = Readonly<Record<string, string>>;

/** Prometheus' text format 0.0.4: what was counted, one family of samples after the other. */
export class Exposition {
  readonly #lines: string[] = [];

  counter(name: string, help: string, samples: readonly (readonly [Labels, number])[]): this {
    return this.#family(name, 'counter', help, samples);
  }

  gauge(name: string, help: string, samples: readonly (readonly [Labels, number])[]): this {
    return this.#family(name, 'gauge', help, samples);
  }

  histogram(name: string, help: string, samples: readonly (readonly [Labels, HistogramCounts])[]): this {
    if (samples.length === 0) return this;
    this.#head(name, 'histogram', help);
    for (const [labels, { bounds, counts, sum }] of samples) {
      let below = 0;
      bounds.forEach((bound, i) => {
        below += counts[i]!;
        this.#sample(`${name}_bucket`, { ...labels, le: numberText(bound) }, below);
      });
      below += counts[bounds.length]!;
      this.#sample(`${name}_bucket`, { ...labels, le: '+Inf' }, below);
      this.#sample(`${name}_sum`, labels, sum);
      this.#sample(`${name}_count`, labels, below);
    }
    return this;
  }

  toString(): string {
    return this.#lines.join('\n');
  }

  #family(name: string, type: string, help: string, samples: readonly (readonly [Labels, number])[]): this {
    if (samples.length === 0) return this;
    this.#head(name, type, help);
    for (const [labels, value] of samples) this.#sample(name, labels, value);
    return this;
  }

  #head(name: string, type: string, help: string): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    const text = Object.entries(labels).map(([label, of]) => `${label}="${escaped(of)}"`);
    this.#lines.push(`${name}${text.length > 0 ? `{${text.join(',')}}` : ''} ${numberText(value)}`);
  }
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

const numberText = (value: number): string => (Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : 'NaN');
