import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import type { Cni } from '../sandbox/cni.ts';

const checkMs = 10_000;
const retryMs = 1000;

/** Watches whether pods can be attached: the CNI configuration is there and STATUS succeeds, like containerd's NetworkReady. */
export class NetworkReady {
  readonly #cni: Cni;
  readonly #onResult: (fault: string | undefined) => void;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #checking = false;
  #again = false;
  #closed = false;

  /** @param onResult after each check; undefined: ready */
  constructor(cni: Cni, confDir: string, onResult: (fault: string | undefined) => void) {
    this.#cni = cni;
    this.#onResult = onResult;
    mkdirSync(confDir, { recursive: true });
    this.#watcher = watch(confDir, () => void this.check());
    this.#timer = setTimeout(() => void this.check(), retryMs);
  }

  async check(): Promise<void> {
    if (this.#checking) {
      this.#again = true;
      return;
    }
    this.#checking = true;
    clearTimeout(this.#timer);
    let fault: string | undefined;
    do {
      this.#again = false;
      fault = await networkFault(this.#cni);
    } while (this.#again && !this.#closed);
    this.#checking = false;
    if (this.#closed) return;
    this.#onResult(fault);
    this.#timer = setTimeout(() => void this.check(), fault === undefined ? checkMs : retryMs);
  }

  close(): void {
    this.#closed = true;
    this.#watcher?.close();
    clearTimeout(this.#timer);
  }
}

export const networkFault = (cni: Cni): Promise<string | undefined> =>
  cni.status().then(
    () => undefined,
    (error: Error) => error.message,
  );
