import { duration, Style } from './output.ts';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const titleWidth = 28;

/**
 * Steps as `✓ step  time  detail`. On a terminal one line spins while a step runs; elsewhere each step is one plain line when it ends.
 */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #style: Style;

  constructor(out: NodeJS.WriteStream, noColor = false) {
    this.#out = out;
    this.#style = Style.of(out, noColor);
  }

  /** Runs a step; `detail` says what came of it. A failure is shown with a cross and thrown on. */
  async step<T>(
    title: string,
    run: (report: (detail: string) => void) => Promise<T>,
    detail: (result: T) => string = () => '',
  ): Promise<T> {
    const begin = performance.now();
    let note = '';
    const stop = this.#spin(() => `${title.padEnd(titleWidth)} ${note}`);
    try {
      const result = await run((text) => {
        note = text;
      });
      stop();
      this.#line(this.#style.paint('green', '✓'), title, begin, detail(result));
      return result;
    } catch (error) {
      stop();
      this.#line(this.#style.paint('red', '✗'), title, begin, note);
      throw error;
    }
  }

  #line(mark: string, title: string, begin: number, detail: string): void {
    const time = duration(performance.now() - begin).padStart(6);
    this.#out.write(`${` ${mark} ${title.padEnd(titleWidth)} ${this.#style.paint('dim', time)}   ${detail}`.trimEnd()}\n`);
  }

  #spin(text: () => string): () => void {
    if (!this.#out.isTTY) return () => {};
    let frame = 0;
    const draw = (): void => {
      const line = ` ${frames[frame++ % frames.length]} ${text()}`;
      this.#out.write(`\r\u001b[K${line.slice(0, Math.max(10, (this.#out.columns || 80) - 1))}`);
    };
    const timer = setInterval(draw, 80);
    draw();
    return () => {
      clearInterval(timer);
      this.#out.write('\r\u001b[K');
    };
  }
}
