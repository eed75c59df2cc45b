import type { Container, Probe } from '../../kube/types.ts';

export interface ProbeAnswer {
  result: 'success' | 'failure' | 'unknown';
  message: string;
}
export type ProbeKind = 'startup' | 'liveness' | 'readiness';

export interface ProbingEvents {
  /** Performs one probe; must answer within the probe's time-out. */
  probe(probe: Probe): Promise<ProbeAnswer>;
  /** `started` or `ready` is another now. */
  changed(): void;
  unhealthy(kind: ProbeKind, message: string): void;
  /** The container has to be restarted. */
  failed(kind: 'startup' | 'liveness', probe: Probe): void;
}

/** The probes of one run of a container, with kubelet's timings and thresholds. Each is one timer. */
export class Probing {
  readonly #events: ProbingEvents;
  readonly #container: Container;
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;
  #wasReady = false;
  started: boolean;
  ready: boolean;

  constructor(container: Container, events: ProbingEvents) {
    this.#container = container;
    this.#events = events;
    this.started = container.startupProbe === undefined;
    this.ready = this.started && container.readinessProbe === undefined;
  }

  start(): void {
    const { startupProbe } = this.#container;
    if (startupProbe) this.#run('startup', startupProbe);
    else this.#startOthers();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #startOthers(): void {
    const { livenessProbe, readinessProbe } = this.#container;
    if (livenessProbe) this.#run('liveness', livenessProbe);
    if (readinessProbe) this.#run('readiness', readinessProbe);
  }

  #run(kind: ProbeKind, probe: Probe): void {
    const periodMs = (probe.periodSeconds || 10) * 1000;
    let last: ProbeAnswer['result'] | undefined;
    let inRow = 0;
    const once = async (): Promise<void> => {
      const { result, message } = await this.#events
        .probe(probe)
        .catch((error: Error): ProbeAnswer => ({ result: 'unknown', message: error.message }));
      if (this.#stopped) return;
      if (result !== 'unknown') {
        inRow = result === last ? inRow + 1 : 1;
        last = result;
        if (result === 'failure') this.#events.unhealthy(kind, message);
        const threshold = result === 'success' ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
        if (inRow >= threshold && this.#decided(kind, probe, result === 'success')) return;
      }
      // Until it is ready for the first time a pod is asked each second, so that it is not late by a whole period.
      this.#after(kind === 'readiness' && !this.#wasReady && last !== 'success' ? Math.min(periodMs, 1000) : periodMs, once);
    };
    this.#after((probe.initialDelaySeconds ?? 0) * 1000, once);
  }

  /** @returns whether this probe is over */
  #decided(kind: ProbeKind, probe: Probe, good: boolean): boolean {
    if (kind === 'readiness') {
      if (this.ready !== good) {
        this.ready = good;
        this.#wasReady ||= good;
        this.#events.changed();
      }
      return false;
    }
    if (!good) {
      this.stop();
      this.#events.failed(kind, probe);
      return true;
    }
    if (kind === 'liveness') return false;
    this.started = true;
    this.ready = this.#container.readinessProbe === undefined;
    this.#events.changed();
    this.#startOthers();
    return true;
  }

  #after(ms: number, work: () => Promise<void>): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void work();
    }, ms);
    this.#timers.add(timer);
  }
}
