import { writeConfList } from '../../cni/conflist.ts';

/** The network's configuration for the runtime (CNI14): written when ADD can be served; why it cannot be written is told until it is. */
export class NetworkConfig {
  readonly #places: { confDir: string; network: string };
  readonly #log: (line: string) => void;
  #problem: string | undefined;

  constructor(places: { confDir: string; network: string }, log: (line: string) => void) {
    this.#places = places;
    this.#log = log;
  }

  /** To be called with every sync while ADD can be served; pods that run go on whatever comes of it. */
  announce(): void {
    const { confDir, network } = this.#places;
    try {
      if (writeConfList(confDir, network)) this.#log(`wrote the network's configuration to ${confDir}`);
      this.#problem = undefined;
    } catch (error) {
      const problem = `cannot write the network's configuration to ${confDir}: ${(error as Error).message}`;
      if (problem !== this.#problem) this.#log(problem);
      this.#problem = problem;
    }
  }

  problems(): string[] {
    return this.#problem === undefined ? [] : [this.#problem];
  }
}
